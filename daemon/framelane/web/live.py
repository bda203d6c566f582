"""The `/api/live` route: one WebSocket per page, with video, boxes and stills of all streams that it shows."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Protocol

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from framelane.web.problem import ProblemError, problem_response
from framelane.web.socket_checks import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock

MOST_VIEWERS = 32
_BURST, _PER_S = 600.0, 50.0
"""Commands: a page with 256 tiles shows them all at once, and then scrolls."""
_GATHER_S = 0.004
"""Records that come within this time make one message."""
_REFUSED, _UNSUPPORTED = 1008, 1003


class Viewer(Protocol):
    """What one page sees."""

    def command(self, text: str) -> None:
        """Do what the page asks for; raise ValueError if that makes no sense."""
        ...

    def take(self) -> bytes:
        """Return the next message; empty if there is none."""
        ...

    def close(self) -> None:
        """End it; may be called twice."""
        ...


class ViewerOpener(Protocol):
    """Opens the view of a page."""

    def __call__(self, notify: Callable[[], None]) -> Viewer:
        """Return a view that calls `notify`, on any thread, when there is something to take."""
        ...


class _Bell:
    """Wakes a coroutine from any thread, once for any number of rings."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._lock = threading.Lock()
        self._on_its_way = self._closed = False

    def ring(self) -> None:
        """Wake the coroutine, now or as soon as it waits."""
        with self._lock:
            if not self._on_its_way and not self._closed:
                self._on_its_way = True
                self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self) -> None:
        """Wait for a ring since the last wait."""
        await self._rung.wait()
        self._rung.clear()
        with self._lock:
            self._on_its_way = False

    def close(self) -> None:
        """Ignore rings from now on: the loop may be closed."""
        with self._lock:
            self._closed = True


class _Allowance:
    """Limits the commands of one page."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = _BURST
        self._at_s = clock.monotonic()

    def spend(self) -> bool:
        """Count a command; return whether it is allowed."""
        now_s = self._clock.monotonic()
        self._left = min(self._left + (now_s - self._at_s) * _PER_S, _BURST) - 1
        self._at_s = now_s
        return self._left >= 0


def router(open_viewer: ViewerOpener, clock: Clock) -> APIRouter:
    """Return the route; SecurityMiddleware has checked token, origin and host."""
    routes = APIRouter(prefix="/api")
    viewers = 0

    @routes.websocket("/live")
    async def live(socket: WebSocket) -> None:
        """Serve a page until it leaves."""
        nonlocal viewers
        if viewers >= MOST_VIEWERS:
            text = f"{MOST_VIEWERS} pages watch already: close one"
            await socket.send_denial_response(problem_response(ProblemError(503, text, {"Retry-After": "5"})))
            return
        viewers += 1
        try:
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
            await _serve(socket, open_viewer, clock)
        except (WebSocketDisconnect, OSError):
            # The page has left while it was written to.
            return
        finally:
            viewers -= 1

    return routes


async def _serve(socket: WebSocket, open_viewer: ViewerOpener, clock: Clock) -> None:
    bell = _Bell()
    viewer = open_viewer(bell.ring)
    tasks = [
        asyncio.ensure_future(_send(socket, viewer, bell)),
        asyncio.ensure_future(_receive(socket, viewer, _Allowance(clock))),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        bell.close()
        viewer.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(socket: WebSocket, viewer: Viewer, bell: _Bell) -> None:
    """Send what waits. While the page does not read, `send_bytes` waits, and the viewer's queue skips."""
    while True:
        await bell.wait()
        while message := viewer.take():
            await socket.send_bytes(message)
        await asyncio.sleep(_GATHER_S)


async def _receive(socket: WebSocket, viewer: Viewer, allowance: _Allowance) -> None:
    """Do what the page asks for, until it leaves or misbehaves."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None:
            await socket.close(_UNSUPPORTED, "commands are text")
            return
        if not allowance.spend():
            await socket.close(_REFUSED, "too many commands")
            return
        try:
            viewer.command(text)
        except ValueError as error:
            await socket.close(_REFUSED, str(error)[:100])
            return
