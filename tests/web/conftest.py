from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.control.conftest import MAIN, FakeNode

from framelane.config.yaml.load import check_config
from framelane.control.changes import LiveConfig
from framelane.control.stream_edits import StreamEdits
from framelane.control.stream_folder import StreamFolder
from framelane.telemetry.health import Health
from framelane.telemetry.meters import Meters
from framelane.telemetry.prometheus import FramelaneCollector, MetricsPage
from framelane.telemetry.states import StreamDetails
from framelane.telemetry.stats import ProcessSample, StatsWindow
from framelane.telemetry.status import StatusBoard
from framelane.web.app import create_app
from framelane.web.server import HttpServer
from framelane.web.status import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

    from framelane.web.hosts import Hosts
    from framelane.web.status import StatusReply
    from framelane.web.streams import StreamEditor


TOKEN = "correct horse battery"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class FakeClock:
    monotonic_s = 100.0

    def monotonic(self) -> float:
        return self.monotonic_s

    def wall(self) -> float:
        return 1_763_802_000.0


class Daemon:
    """The parts of the daemon that the HTTP application calls."""

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

    def app(
        self, token: str | None = None, editor: StreamEditor | None = None, hosts: Hosts | None = None
    ) -> ASGIApp:
        collector = FramelaneCollector(self.meters, self.board, lambda: self.window.latest, list)
        return create_app(self, MetricsPage(collector), self.status, token, editor=editor, hosts=hosts)


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


@pytest.fixture
def url(tmp_path: Path, daemon: Daemon, serve: Callable[[ASGIApp], str]) -> str:
    """A listener with real checks, comparison and storage of changes, for a node that opens no camera."""
    (tmp_path / "m.onnx").touch()
    (tmp_path / "streams.d").mkdir()
    main = tmp_path / "framelane.yaml"
    main.write_text(MAIN)
    live = LiveConfig(main, {}, check_config(main, {}))
    live.attach(FakeNode(dict(live.config.models)))
    live.open()
    return serve(daemon.app(TOKEN, StreamEdits(live, StreamFolder(tmp_path / "streams.d"))))
