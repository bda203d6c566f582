from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.telemetry.health import Health
from framelane.telemetry.meters import Meters
from framelane.telemetry.prometheus import FramelaneCollector, MetricsPage
from framelane.telemetry.stats import ProcessSample, StatsWindow
from framelane.telemetry.status import StatusBoard, StreamDetails
from framelane.web.app import create_app
from framelane.web.server import HttpServer
from framelane.web.status import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from framelane.web.status import StatusReply
    from framelane.web.streams import StreamEditor


class FakeClock:
    monotonic_s = 100.0

    def monotonic(self) -> float:
        return self.monotonic_s

    def wall(self) -> float:
        return 1_763_802_000.0


class Daemon:
    """All that the HTTP application asks of the daemon."""

    def __init__(self) -> None:
        self.alive = self.ready = Health()
        self.clock = FakeClock()
        self.meters = Meters()
        self.board = StatusBoard(self.clock, lambda _state: None, lambda _node: None)
        self.window = StatsWindow(self.meters, self.clock, lambda: ProcessSample(123, 1.0))
        lobby = self.board.stream("lobby")
        lobby.opened(StreamDetails("h264", 640, 480, 25.0, "cpu", "receive"))
        lobby.frame_seen(self.clock.monotonic())
        self.meters.stream("lobby").result_published(0.045)

    def liveness(self) -> Health:
        return self.alive

    def readiness(self) -> Health:
        return self.ready

    def status(self) -> StatusReply:
        return describe(
            "gate-01", self.board.node(), self.board.streams(), self.window.latest, self.clock.monotonic()
        )

    def app(self, token: str | None = None, editor: StreamEditor | None = None) -> ASGIApp:
        collector = FramelaneCollector(self.meters, self.board, lambda: self.window.latest, list, None)
        return create_app(self, MetricsPage(collector), self.status, token, editor=editor)


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[ASGIApp], str]]:
    """Serves an application on a free port of loopback; gives its base URL."""
    servers: list[HttpServer] = []

    def start(app: ASGIApp) -> str:
        server = HttpServer(app, "127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"http://127.0.0.1:{server.address[1]}"

    yield start
    for server in servers:  # all at once: each takes a fifth of a second
        server.stopping.set()
        server.wake()
    for server in servers:
        assert server.stop()
