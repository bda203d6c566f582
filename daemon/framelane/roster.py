"""The streams that run: everything that belongs to one of them, made when it comes and let go when it leaves."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.gpu.present import why_no_nvdec
from framelane.sources.camera import CameraWorker
from framelane.sources.decoder import choose_decoder
from framelane.sources.ingest import Ingest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from framelane.config.differences import StreamChanges
    from framelane.config.schema import StreamConfig
    from framelane.core.clock import Clock
    from framelane.pool import ModelPool
    from framelane.telemetry.meters import Meters, StreamMeter
    from framelane.telemetry.status import StatusBoard, StreamStatus


@dataclass(frozen=True, slots=True)
class _Seat:
    camera: CameraWorker
    meter: StreamMeter


class Roster:
    """Meter, state, lanes and camera thread of each stream. Looked at from any thread, changed by one at a time.

    Args:
        pool: the models; those that streams name have been started when they come.
        meters: all meters.
        board: all states.
        clock: for cameras.
        gpu: the GPU whose NVDEC may decode.
        forget: told of a stream that has left, when nothing more will come of it but results on their way.
    """

    def __init__(
        self,
        pool: ModelPool,
        meters: Meters,
        board: StatusBoard,
        clock: Clock,
        gpu: int,
        forget: Callable[[str], None],
    ) -> None:
        self._pool = pool
        self._meters = meters
        self._board = board
        self._clock = clock
        self._gpu = gpu
        self._forget = forget
        self._ingest = Ingest(clock)
        self._seats: dict[str, _Seat] = {}
        self._leaving: list[CameraWorker] = []
        self._lock = threading.Lock()
        self._closed = False

    @property
    def cameras(self) -> list[CameraWorker]:
        """The camera thread of every stream."""
        return [seat.camera for seat in list(self._seats.values())]

    @property
    def ended(self) -> bool:
        """Whether there were streams, and every one has been played to its end."""
        cameras = self.cameras
        return bool(cameras) and not any(camera.alive for camera in cameras)

    def __contains__(self, stream: object) -> bool:
        """Whether the stream is one of ours."""
        return stream in self._seats

    def meter(self, stream: str) -> StreamMeter | None:
        """A stream's meter; None where it is gone."""
        seat = self._seats.get(stream)
        return None if seat is None else seat.meter

    def apply(self, changes: StreamChanges) -> None:
        """Let streams go, change and come; cameras that are told to stop do so in their own time."""
        with self._lock:
            if self._closed:
                return
            self._leaving = [camera for camera in self._leaving if camera.alive]
            for name in changes.removed:
                self._remove(name)
            self._open_all(changes.changed, self._changed)
            self._open_all(changes.added, self._added)

    def retry(self) -> None:
        """Have every camera that waits for its next login try it now."""
        for camera in self.cameras:
            camera.hurry()

    def stop(self, timeout_s: float) -> None:
        """Stop every camera and take no more; gives up on those that are still in a read after `timeout_s`."""
        with self._lock:
            self._closed = True
        cameras = [*self.cameras, *self._leaving]
        deadline_s = self._clock.monotonic() + timeout_s
        for camera in cameras:
            camera.stopping.set()
        for camera in cameras:
            camera.stop(max(deadline_s - self._clock.monotonic(), 0.0))
        self._ingest.stop(max(deadline_s - self._clock.monotonic(), 0.0))

    def _open_all(
        self, streams: Iterable[StreamConfig], status_of: Callable[[StreamConfig, StreamMeter], StreamStatus]
    ) -> None:
        """All are on the board before the first one opens: the node's state is that of all of them."""
        fresh: list[CameraWorker] = []
        for stream in streams:
            meter = self._meters.stream(stream.id)
            self._pool.admit(stream, meter)
            camera = self._camera(stream, meter, status_of(stream, meter))
            self._seats[stream.id] = _Seat(camera, meter)
            fresh.append(camera)
        for camera in fresh:
            camera.start()

    def _added(self, stream: StreamConfig, meter: StreamMeter) -> StreamStatus:
        return self._board.stream(stream.id, stream.read_timeout_s, meter)

    def _changed(self, stream: StreamConfig, meter: StreamMeter) -> StreamStatus:
        self._let_go(stream.id)
        return self._board.renew(stream.id, stream.read_timeout_s, meter)

    def _remove(self, stream: str) -> None:
        self._let_go(stream)
        del self._seats[stream]
        self._pool.dismiss(stream)
        self._board.remove(stream)
        self._meters.remove_stream(stream)
        self._forget(stream)

    def _let_go(self, stream: str) -> None:
        camera = self._seats[stream].camera
        camera.stopping.set()
        self._leaving.append(camera)

    def _camera(self, stream: StreamConfig, meter: StreamMeter, status: StreamStatus) -> CameraWorker:
        workers = [self._pool.workers[key] for key in stream.model_keys]
        backends = {worker.model.info.backend for worker in workers}
        choice = choose_decoder(stream.decode, backends, self._gpu, why_no_nvdec)
        before = [camera for camera in self._leaving if camera.stream == stream.id]
        batchers = [worker.batcher for worker in workers]
        return CameraWorker(stream, batchers, meter, status, self._clock, self._ingest, choice, before)
