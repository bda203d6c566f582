"""A camera worker with a real status board and a consumer that keeps what it is offered; tests wait for events."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from tests.sources.pictures import fingerprint

from framelane.config.sections.stream import StreamConfig
from framelane.core.clock import SystemClock
from framelane.sources.camera import CameraWorker
from framelane.sources.camera_parts import CameraParts
from framelane.sources.decoding.decoder import ON_CPU
from framelane.sources.ingest import Ingest
from framelane.sources.interfaces.tap import UnitTap
from framelane.telemetry.meters import Meters
from framelane.telemetry.status import StatusBoard

if TYPE_CHECKING:
    from collections.abc import Callable

    import av

    from framelane.core.frames import Frame, FrameInfo
    from framelane.telemetry.states import StreamState

GENEROUS_S = 30.0
_TICK_S = 0.05
# So that a test of faults takes a second or two; the defaults are 1, 60, 10 and 5.
QUICK = {"backoff": {"first_s": 0.1, "most_s": 0.4}, "open_timeout_s": 3.0, "read_timeout_s": 1.0}


@dataclass(frozen=True)
class Seen:
    """One frame that the camera offered."""

    info: FrameInfo
    pixels: bytes
    pixel_format: str


class WatchedCamera:
    """Start it, do something to its source, wait for what should come of it.

    `silence_s` is how long a live stream may be silent before it counts as stalled; 4 s and more count as 4.
    `beside` is a camera with which it shares the threads that read and decode, as all of a daemon do.
    """

    def __init__(
        self,
        url: str,
        *,
        silence_s: float = GENEROUS_S,
        beside: Any = None,
        choice: Any = ON_CPU,
        **options: object,
    ) -> None:
        self._changed = threading.Condition()
        self._states: list[StreamState] = []
        self._seen: list[Seen] = []
        self.live = False
        self.meters = Meters()
        self.meter = self.meters.stream("cam")
        clock = SystemClock()
        config = StreamConfig.model_validate({"id": "cam", "url": url, **QUICK, **options})
        self.board = StatusBoard(clock, self._on_state, lambda _node: None)
        status = self.board.stream("cam", silence_s, self.meter)
        self.ingest: Ingest = Ingest(clock) if beside is None else beside.ingest
        parts = CameraParts(self.meter, status, clock, self.ingest, UnitTap())
        self.worker = CameraWorker(config, self, parts, choice)

    def join(self) -> None:
        self.live = True

    def leave(self) -> None:
        self.live = False

    def offer(self, frame: Frame, *, wait: bool = False) -> None:
        picture = cast("av.VideoFrame", frame.picture)
        seen = Seen(frame.info, fingerprint(picture), picture.format.name)
        with self._changed:
            self._seen.append(seen)
            self._changed.notify_all()

    @property
    def states(self) -> list[StreamState]:
        """Every state so far, oldest first."""
        with self._changed:
            return list(self._states)

    @property
    def seen(self) -> list[Seen]:
        """Every frame so far, oldest first."""
        with self._changed:
            return list(self._seen)

    @property
    def received(self) -> int:
        """Access units read so far."""
        return self.meters.snapshot().streams["cam"].received

    @property
    def dropped(self) -> dict[str, int]:
        """Frames given up so far, by reason."""
        return dict(self.meters.snapshot().streams["cam"].dropped)

    def wait_for(self, happened: Callable[[], bool], what: str, timeout_s: float = GENEROUS_S) -> None:
        """Return once it has happened. Raises `AssertionError`."""
        deadline_s = time.monotonic() + timeout_s
        while not happened():
            assert time.monotonic() < deadline_s, (
                f"no {what} after {timeout_s} s; states: {self.states[-20:]}"
            )
            with self._changed:
                self._changed.wait(_TICK_S)
            self.board.tick()

    def wait_for_frames(self, count: int) -> list[Seen]:
        """The first `count` frames."""
        self.wait_for(lambda: len(self.seen) >= count, f"{count} frames")
        return self.seen[:count]

    def wait_for_state(self, state: str, *, after: int = 0) -> int:
        """The number of the first such state from number `after` on."""

        def found() -> list[int]:
            return [n for n, each in enumerate(self.states) if n >= after and each.state == state]

        self.wait_for(lambda: bool(found()), f"state {state} from {after} on")
        return found()[0]

    def first(self, state: str, *, after: int = 0) -> StreamState:
        """The same, the state itself."""
        number = self.wait_for_state(state, after=after)
        return self.states[number]

    def wait_for_end(self) -> StreamState:
        """The last state of a stream that ends by itself."""
        self.wait_for(lambda: not self.worker.alive, "end")
        return self.states[-1]

    def _on_state(self, state: StreamState) -> None:
        with self._changed:
            self._states.append(state)
            self._changed.notify_all()
