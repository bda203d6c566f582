"""A listener with the live page, over a hub whose streams a test feeds."""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING

from websockets.sync.client import connect

from framelane.core.clock import SystemClock
from framelane.live.hub import LiveHub
from framelane.live.viewer import Viewer
from framelane.web.app import create_app
from framelane.web.live import router as live_router

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp
    from websockets.sync.client import ClientConnection

    from framelane.web.hosts import Hosts

    from .conftest import Daemon

TOKEN = "correct horse battery"


class Watched:
    """The application, and the hub behind its WebSocket."""

    def __init__(
        self,
        daemon: Daemon,
        token: str | None = None,
        hosts: Hosts | None = None,
        named: Collection[str] = (),
    ) -> None:
        clock = SystemClock()
        self.hub = LiveHub(clock)
        live = live_router(partial(Viewer, self.hub, clock), clock)
        self.app: ASGIApp = create_app(
            daemon,
            lambda _accept: (b"", "text/plain"),
            daemon.status,
            token,
            hosts=hosts,
            live=live,
            named=named,
        )


def open_socket(url: str, token: str | None = None, origin: str | None = None) -> ClientConnection:
    """Open the page's WebSocket at a listener's base URL, as a browser would."""
    protocols = ["framelane.live.1"]
    if token is not None:
        protocols.append("bearer." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("="))
    return connect(
        url.replace("http", "ws", 1) + "/api/live",
        origin=origin,  # type: ignore[arg-type] # a NewType of str
        subprotocols=protocols,  # type: ignore[arg-type] # likewise
        max_size=None,
        open_timeout=30,
    )
