"""Runs the RTSP cameras on their own thread, and lets other threads control them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from framelane.demo.rtsp.camera import CameraSpec, CameraStats, LiveCamera, SentFrames
from framelane.demo.rtsp.connection import RtspConnection, ServerState
from framelane.demo.rtsp.faults import Faults, GarbageKind
from framelane.demo.rtsp.subscriber import open_udp_pair

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from framelane.demo.rtsp.session import TransportKind

CALL_TIMEOUT_S = 5.0
BACKLOG = 256
_Result = TypeVar("_Result")


class RtspServer:
    """A server of looping cameras: `with RtspServer([CameraSpec(...)]) as server: server.url("cam1")`.

    `port` 0 selects a free one. With `tls`, it speaks RTSPS, over TCP only. `transports` may leave out "udp"
    or "tcp", which is then answered with 461.
    """

    def __init__(
        self,
        cameras: Sequence[CameraSpec],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        tls: ssl.SSLContext | None = None,
        transports: tuple[TransportKind, ...] = ("tcp", "udp"),
        session_timeout_s: float = 60.0,
    ) -> None:
        self._specs = {spec.path.strip("/"): spec for spec in cameras}
        self._host = host
        self._port = port
        self._tls = tls
        self._transports = tuple(kind for kind in transports if kind == "tcp" or tls is None)
        self._session_timeout_s = session_timeout_s
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._state: ServerState | None = None
        self._stopping: asyncio.Event | None = None

    def __enter__(self) -> RtspServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on (0 before the first start); a restart uses the same."""
        return self._port

    @property
    def stats(self) -> list[CameraStats]:
        """The counters of every camera."""
        state = self._running_state()
        return self.call(lambda: [camera.stats for camera in state.cameras.values()])

    def url(self, path: str, *, credentials: bool = True) -> str:
        """Return the URL of a camera, with its user and password unless `credentials` is off."""
        scheme = "rtsp" if self._tls is None else "rtsps"
        spec = self._specs.get(path)
        user = ""
        if credentials and spec is not None and spec.username is not None:
            user = f"{quote(spec.username, safe='')}:{quote(spec.password or '', safe='')}@"
        return f"{scheme}://{user}{self._host}:{self._port}/{quote(path)}"

    def camera(self, path: str) -> Camera:
        """Return the handle that controls a camera. Raise `KeyError`."""
        return Camera(self, self._running_state().cameras[path])

    def start(self) -> None:
        """Listen; do nothing while running. Raise `OSError` (port taken) and `ClipError`."""
        if self._thread is not None:
            return
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="rtsp-cameras", daemon=True)
        self._thread.start()
        try:
            started.result()
        except (OSError, ValueError, RuntimeError):
            self._thread.join()
            self._thread = None
            raise

    def stop(self) -> None:
        """Disconnect every client and free the port; do nothing when stopped."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        self._thread = self._loop = self._state = self._stopping = None

    def call(self, action: Callable[[], _Result]) -> _Result:
        """Run `action` on the server's thread and return its result. Raise `RuntimeError` when stopped."""
        if self._loop is None:
            raise RuntimeError("the RTSP server is not running; call start() first")

        async def act() -> _Result:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(CALL_TIMEOUT_S)

    def drop_connections(self, camera: LiveCamera) -> None:
        """Disconnect the clients of one camera; called on the server's thread."""
        for connection in tuple(self._running_state().connections):
            connection.drop(camera)

    def _running_state(self) -> ServerState:
        if self._state is None:
            raise RuntimeError("the RTSP server is not running; call start() first")
        return self._state

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(started))
        except (OSError, ValueError) as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            if not started.done():
                started.set_exception(RuntimeError("the thread of the RTSP cameras ended before it listened"))

    async def _serve(self, started: Future[None]) -> None:
        cameras = {
            path: LiveCamera(spec, Random(path))  # noqa: S311 identifiers and faults, no secrets
            for path, spec in self._specs.items()
        }
        udp = open_udp_pair(self._host) if "udp" in self._transports else None
        state = ServerState(cameras, self._transports, udp, self._session_timeout_s)
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(
                lambda: RtspConnection(state), self._host, self._port, ssl=self._tls, backlog=BACKLOG
            )
            self._port = listener.sockets[0].getsockname()[1]
            self._loop, self._state, self._stopping = loop, state, asyncio.Event()
            self._discard_udp(state)
            started.set_result(None)
            await self._stopping.wait()
            listener.close()
        finally:
            await _close(state)

    @staticmethod
    def _discard_udp(state: ServerState) -> None:
        """Read and discard what UDP clients send (hole punching, receiver reports)."""
        if state.udp is None:
            return
        loop = asyncio.get_running_loop()
        for sock in (state.udp.rtp, state.udp.rtcp):
            loop.add_reader(sock, sock.recv, 2048)


async def _close(state: ServerState) -> None:
    for connection in tuple(state.connections):
        connection.drop()
    for camera in state.cameras.values():
        camera.close()
    # Let the closed transports close their sockets.
    await asyncio.sleep(0)
    if state.udp is not None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(state.udp.rtp)
        loop.remove_reader(state.udp.rtcp)
        state.udp.close()


class Camera:
    """Controls one camera of a running server from any thread; each call has taken effect when it returns."""

    def __init__(self, server: RtspServer, live: LiveCamera) -> None:
        self._server = server
        self._live = live

    @property
    def stats(self) -> CameraStats:
        """The current counters."""
        return self._server.call(lambda: self._live.stats)

    def frame_at(self, captured_s: float, tolerance_s: float = 0.002) -> int | None:
        """Return the frame of the clip that was captured at this wall time (seconds since 1970), if any.

        Looks back about two minutes. Frames count from 0 in presentation order. A camera clock changed by
        `set_clock` is not taken into account.
        """
        return self._server.call(lambda: self._live.frame_at(captured_s, tolerance_s))

    def sent_until(self, captured_s: float, after: int | None) -> SentFrames:
        """Return the frames that were sent after one of them, up to that captured nearest to this wall time.

        Looks back and trusts the clock as `frame_at` does.

        Args:
            captured_s: seconds since 1970.
            after: `newest` of an earlier call; None for the one frame alone.
        """
        return self._server.call(lambda: self._live.sent_until(captured_s, after))

    def pause(self) -> None:
        """Stall: connections stay, no packet comes."""
        self._change(paused=True)

    def resume(self) -> None:
        """Continue with the frame before which it stalled."""
        self._change(paused=False)

    def kill(self) -> None:
        """Disconnect its clients, and every connection that requests it."""
        self._change(dead=True)
        self._server.call(lambda: self._server.drop_connections(self._live))

    def revive(self, clip: Path | None = None) -> None:
        """Return without faults; with `clip`, show that one instead."""
        if clip is not None:
            self._server.call(lambda: self._live.load(clip))
        self.heal()

    def garbage(self, probability: float, kind: GarbageKind = "payload") -> None:
        """Damage this share of frames: "payload" damages NAL units, "stream" sends random bytes instead."""
        if kind == "payload":
            self._change(corrupt=probability)
        else:
            self._change(noise=probability)

    def drop(self, probability: float) -> None:
        """Drop this share of packets."""
        self._change(loss=probability)

    def silence(self) -> None:
        """Accept connections and never answer."""
        self._change(silent=True)

    def stop_reports(self) -> None:
        """Send no RTCP."""
        self._change(no_rtcp=True)

    def set_clock(self, offset_s: float = 0.0, drift_ppm: float = 0.0) -> None:
        """Offset the camera's wall clock, and let it run fast by `drift_ppm`."""
        self._change(clock_offset_s=offset_s, clock_drift_ppm=drift_ppm)

    def heal(self) -> None:
        """End every fault."""
        self._server.call(lambda: self._live.misbehave(Faults()))

    def _change(self, **changes: float | bool) -> None:
        def change() -> None:
            self._live.misbehave(replace(self._live.faults, **changes))  # type: ignore[arg-type]

        self._server.call(change)
