"""Adds, changes and removes the running streams."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from framelane.gpu.availability import why_no_nvdec
from framelane.live.preview import Preview
from framelane.pipeline.stream import Plan, Stream, StreamInput, all_ended
from framelane.sources.camera import CameraWorker
from framelane.sources.camera_parts import CameraParts
from framelane.sources.decoding.decoder import choose_decoder
from framelane.sources.ingest import Ingest

if TYPE_CHECKING:
    from framelane.config.explain.differences import StreamChanges
    from framelane.config.sections.stream import StreamConfig
    from framelane.core.clock import Clock
    from framelane.footage.footage import Footage
    from framelane.live.hub import LiveHub
    from framelane.pipeline.models import ModelPool
    from framelane.sinks.publisher import Publisher
    from framelane.telemetry.meters import Meters
    from framelane.telemetry.status import StatusBoard


class StreamRegistry:
    """All streams of this process. Readable from any thread, changed by one at a time.

    Args:
        pool: the models; those of a stream must be started before it is added.
        meters: the streams' meters.
        board: the streams' states.
        publisher: receives results.
        clock: the cameras' clock.
        gpu: the GPU whose NVDEC may decode.
        live: what is watched of the streams.
        footage: makes snapshots and clips of the streams' events.
    """

    def __init__(
        self,
        pool: ModelPool,
        meters: Meters,
        board: StatusBoard,
        publisher: Publisher,
        clock: Clock,
        gpu: int,
        live: LiveHub,
        footage: Footage,
    ) -> None:
        self._pool = pool
        self._meters = meters
        self._board = board
        self._publisher = publisher
        self._clock = clock
        self._gpu = gpu
        self._live = live
        self._footage = footage
        self._ingest = Ingest(clock)
        self._streams: dict[str, Stream] = {}
        self._leaving: list[CameraWorker] = []
        self._lock = threading.Lock()
        self._closed = False

    @property
    def cameras(self) -> list[CameraWorker]:
        """All streams' camera threads."""
        return [stream.camera for stream in list(self._streams.values())]

    @property
    def ended(self) -> bool:
        """Whether there are streams and all have been played to their end."""
        return all_ended(list(self._streams.values()))

    def apply(self, changes: StreamChanges) -> None:
        """Remove, change and add streams, without waiting for stopped cameras to end."""
        with self._lock:
            if self._closed:
                return
            self._leaving = [camera for camera in self._leaving if camera.alive]
            for name in changes.removed:
                self._remove(name)
            gone = {*changes.removed, *changes.forgotten} - {*changes.disabled}
            for name in gone:
                self._board.remove(name)
            for name in changes.disabled:
                self._board.disable(name)
            for config in changes.changed:
                stream = self._streams[config.id]
                stream.follow(self._plan(config))
                self._footage.follow(config, stream.tap, stream.meter)
                self._show(stream, config)
                if config.id not in changes.reopened:
                    self._streams[config.id].camera.tune(config)
            reopened = [config for config in changes.changed if config.id in changes.reopened]
            for config in reopened:
                self._let_go(self._streams[config.id])
            # All are on the board before the first one opens: the node's state is that of all of them.
            fresh = [self._connect(self._streams[config.id], config) for config in reopened]
            fresh += [self._add(config) for config in changes.added]
            for camera in fresh:
                camera.start()

    def retry(self) -> None:
        """Have every camera that waits for its next login retry now."""
        for camera in self.cameras:
            camera.retry_login()
        self._live.retry()

    def look(self) -> None:
        """Update each stream's state with failing models; called about every second."""
        for stream in list(self._streams.values()):
            stream.look()

    def follow_models(self) -> None:
        """Note the second models that look at each stream's objects now."""
        for stream in list(self._streams.values()):
            plan = stream.plan
            stream.models = tuple(self._pool.workers_for(list(plan.wanted), track=bool(plan.shown)))

    def stop(self, timeout_s: float) -> None:
        """Stop all cameras for good; after `timeout_s` abandon those that still block in a read."""
        with self._lock:
            self._closed = True
        cameras = [*self.cameras, *self._leaving]
        deadline_s = self._clock.monotonic() + timeout_s
        for camera in cameras:
            camera.stopping.set()
        for camera in cameras:
            camera.stop(max(deadline_s - self._clock.monotonic(), 0.0))
        self._ingest.stop(max(deadline_s - self._clock.monotonic(), 0.0))

    def _plan(self, config: StreamConfig) -> Plan:
        plan = Plan.of(config, {key: worker.model for key, worker in self._pool.workers.items()})
        return plan if self._footage.makes_snapshots else replace(plan, snapshots=None)

    def _add(self, config: StreamConfig) -> CameraWorker:
        meter = self._meters.stream(config.id)
        output = self._publisher.open(config.id, config.publish, meter)
        stream = Stream(config.id, meter, output, self._plan(config))
        camera = self._connect(stream, config)
        # Whole, because other threads look at all streams at any time.
        self._streams[config.id] = stream
        self._show(stream, config)
        self._footage.follow(config, stream.tap, stream.meter)
        return camera

    def _show(self, stream: Stream, config: StreamConfig) -> None:
        """Let people watch a stream, in its sub-stream if it has one."""
        self._live.add(config.id, stream.tap, Preview.of(config, self._ingest.reactor, self._clock))

    def _connect(self, stream: Stream, config: StreamConfig) -> CameraWorker:
        """Give a stream a new state and a new camera; return the camera, not yet started."""
        workers = {key: self._pool.workers[key] for key in config.model_keys}
        stream.status = self._board.renew(config.id, config.read_timeout_s, stream.meter)
        stream.models = tuple(self._pool.workers_for(config.model_keys, track=config.track))
        backends = {worker.model.info.backend for worker in workers.values()}
        stream.camera = CameraWorker(
            config,
            StreamInput(stream, workers),
            CameraParts(stream.meter, stream.status, self._clock, self._ingest, stream.tap),
            choose_decoder(config.decode, backends, self._gpu, why_no_nvdec),
            [camera for camera in self._leaving if camera.stream == config.id],
        )
        return stream.camera

    def _remove(self, name: str) -> None:
        stream = self._streams.pop(name)
        stream.left = True
        self._live.remove(name)
        self._footage.remove(name)
        self._let_go(stream)
        self._pool.forget(name)
        self._publisher.close(name, stream.output)
        self._meters.remove_stream(name)

    def _let_go(self, stream: Stream) -> None:
        stream.camera.stopping.set()
        self._leaving.append(stream.camera)
