"""A listener with the live page and cameras that a test makes up, each with numbered pictures."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter
from tests.live.coded import FPS, recording, unit_of
from tests.live.found import frame, result

from framelane.core.clock import SystemClock
from framelane.core.log_tail import LogTail
from framelane.core.worker import Worker
from framelane.live.hub import LiveHub
from framelane.live.tap import StreamTap
from framelane.live.viewer import Viewer
from framelane.sources.interfaces.tap import UnitOrigin
from framelane.sources.timing.arrival_clock import Arrival
from framelane.telemetry.health import Health
from framelane.telemetry.history import History
from framelane.telemetry.meters import Meters
from framelane.telemetry.states import StreamDetails
from framelane.telemetry.stats import ProcessSample, StatsWindow
from framelane.telemetry.status import StatusBoard
from framelane.web.app import create_app
from framelane.web.insight import insight
from framelane.web.insight import router as insight_router
from framelane.web.live import router as live_router
from framelane.web.log_lines import router as log_router
from framelane.web.models import router as model_router
from framelane.web.rules import rules
from framelane.web.server import HttpServer
from framelane.web.status import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.live.coded import Kind

    from framelane.config.sections.stream import StreamConfig
    from framelane.core.frames import ModelInfo, Result
    from framelane.messages.events import LineState, ZoneState
    from framelane.web.rules import RulesReply
    from framelane.web.status import StatusReply
    from framelane.web.streams import StreamEditor

LATENCY_S = 0.08
"""What inference takes."""
_PICTURES = 200
"""In the recording, which then begins again."""
_TICK_S = 0.2


class Camera(Worker):
    """Sends numbered pictures at 25 per second, and what was found in them a moment later.

    The box of picture n begins n pixels from the left, modulo 200; its track id is n.
    """

    def __init__(
        self,
        name: str,
        tap: StreamTap,
        kind: Kind = "h264",
        infer: Callable[[int], bool] = lambda _number: True,
        find: Callable[[int], Result] | None = None,
    ) -> None:
        super().__init__(f"fake-{name}")
        self.tap = tap
        self.sent = 0
        self.freeze = False
        self._infer = infer
        self._find = find or found
        self._made = self._next = recording(kind, _PICTURES)
        self._began_s = time.monotonic()
        self.reconnect()
        self._later: list[tuple[float, Result]] = []

    @property
    def codec(self) -> str:
        """FFmpeg's name of what it sends."""
        return self._made.codec

    def reconnect(self) -> None:
        """Begin a new connection, whose time stamps begin at 0 again."""
        self._origin = UnitOrigin(self.codec)

    def become(self, kind: Kind, size_wh: tuple[int, int]) -> None:
        """Send other pictures from the next key frame on, in the same connection."""
        self._next = recording(kind, _PICTURES, size_wh)

    def run_once(self) -> None:
        """Send the next picture when it is due, and results that are."""
        due_s = self._began_s + self.sent / FPS
        self.stopping.wait(max(due_s - time.monotonic(), 0.0))
        now_s = time.monotonic()
        while self._later and self._later[0][0] <= now_s:
            _, each = self._later.pop(0)
            if self.tap.result is not None:
                self.tap.result(each)
        if self.freeze:
            self.stopping.wait(0.05)
            self._began_s += 0.05
            return
        self._send(self.sent)
        self.sent += 1

    def _send(self, number: int) -> None:
        if self._made is not self._next and self._next.units[number % _PICTURES].key:
            self._made = self._next
        coded = self._made.units[number % _PICTURES]
        shown = coded._replace(number=coded.number + number // _PICTURES * _PICTURES)
        if self.tap.unit is not None:
            arrival = Arrival(time.monotonic(), time.time(), "receive")
            self.tap.unit(self._origin, unit_of(shown, self._made.extradata)._replace(arrival=arrival))
        if self._infer(shown.number):
            if self.tap.frame is not None:
                self.tap.frame(frame(shown.number % 65536))
            self._later.append((time.monotonic() + LATENCY_S, self._find(shown.number)))


def found(number: int) -> Result:
    """One box that tells the number of its picture."""
    return lowered(result(number))


def lowered(found: Result) -> Result:
    """Move boxes and their labels away from the cells that have the picture's number."""
    xyxy = found.detections.xyxy + np.array([0, 100, 0, 100], np.float32)
    return replace(found, detections=replace(found.detections, xyxy=xyxy))


class Counts:
    """What lines and zones say."""

    def __init__(self) -> None:
        self.states: list[LineState | ZoneState] = []
        self.counting = True


class Scene:
    """The listener; a context manager.

    Args:
        names: the cameras.
        token: of the listener.
        editor: changes streams.
        events: the routes of events.
        camera: more options of all cameras.
    """

    def __init__(
        self,
        names: Iterable[str],
        token: str | None = None,
        editor: StreamEditor | None = None,
        events: APIRouter | None = None,
        **camera: Any,
    ) -> None:
        self.clock = SystemClock()
        self.tail = LogTail()
        self.seen = result(1)
        """What each frame of all cameras shows, for figures."""
        self.meters = Meters()
        self.history = History(self.clock, 1.0)
        self.board = StatusBoard(self.clock, self.history.changed, lambda _node: None)
        self.window = StatsWindow(self.meters, self.clock, lambda: ProcessSample(180 << 20, 1.0))
        self.hub = LiveHub(self.clock)
        self.counts = Counts()
        self.streams: Callable[[], Sequence[StreamConfig]] = list
        self.models: list[ModelInfo] = []
        self.previewed: set[str] = set()
        """The streams with a sub-stream, as the status tells."""
        self.configured_models: list[str] = []
        self.cameras: dict[str, Camera] = {}
        for name in names:
            tap = StreamTap()
            self.hub.add(name, tap)
            self.cameras[name] = Camera(name, tap, **camera)
            status = self.board.stream(name, meter=self.meters.stream(name))
            status.opened(StreamDetails(self.cameras[name].codec, 320, 240, 25.0, "cpu", "receive"))
            status.frame_seen(self.clock.monotonic())
        self._server = HttpServer(self._app(token, editor, events), "127.0.0.1:0")
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Scene:
        self._server.start()
        for camera in self.cameras.values():
            camera.start()
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for camera in self.cameras.values():
            camera.stop(5.0)
        self.hub.stop(5.0)
        self._server.stop(5.0)
        self._ticker.join(5.0)

    @property
    def url(self) -> str:
        """The page's address."""
        return self._server.url + "/"

    def liveness(self) -> Health:
        return Health()

    def readiness(self) -> Health:
        return Health()

    def status(self) -> StatusReply:
        now_s = self.clock.monotonic()
        return describe(
            "gate-01", self.board.node(), self.board.streams(), self.window.latest, now_s, self.previewed
        )

    def _app(self, token: str | None, editor: StreamEditor | None, events: APIRouter | None) -> Any:
        live = live_router(partial(Viewer, self.hub, self.clock), self.clock)
        node = APIRouter()
        node.include_router(
            insight_router(self.history, lambda: insight(self.window.latest, {"street": 2}, []), self._rules)
        )
        node.include_router(model_router(lambda: self.configured_models, lambda: self.models))
        node.include_router(
            log_router(lambda after, faults: self.tail.lines(after, faults_only=faults), "run-1")
        )
        return create_app(
            self,
            lambda _accept: (b"", "text/plain"),
            self.status,
            token,
            editor=editor,
            live=live,
            insight=node,
            events=events,
        )

    def _rules(self) -> RulesReply:
        return rules(self.streams(), self.counts)

    def _tick(self) -> None:
        """Keep figures, as the daemon would."""
        model = self.meters.model("street")
        while not self._over.wait(_TICK_S):
            for name in self.cameras:
                meter = self.meters.stream(name)
                for _ in range(5):
                    meter.frame_received()
                    meter.frame_decoded()
                    meter.frame_inferred(0.01, 0.05)
                    meter.result_published(0.08)
                    meter.objects.saw(self.seen)
            model.batch_done(4, 0.004, 0.05, 0.002)
            if time.monotonic() % 1 < _TICK_S:
                self.history.note(self.window.close())
