"""One stream's state machine, on a board that does no more than it must."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from framelane.telemetry.meters import StreamMeter
from framelane.telemetry.states import StreamDetails
from framelane.telemetry.stream_status import StreamStatus

if TYPE_CHECKING:
    from tests.telemetry.conftest import FakeClock

    from framelane.core.clock import Clock
    from framelane.telemetry.states import StateName


class Board:
    """Moves streams without a lock and without telling anyone."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock: Clock = clock
        self.moves: list[tuple[str, str]] = []

    def change(
        self,
        status: StreamStatus,
        state: StateName,
        reason: str,
        text: str,
        *,
        only_from: StateName | None = None,
    ) -> None:
        if only_from in (None, status.current.state) and status.move(state, reason, text):
            self.moves.append((state, reason))

    def describe(self, status: StreamStatus, details: StreamDetails) -> None:
        status.current = replace(status.snapshot(), details=details)


class Rig:
    def __init__(self, clock: FakeClock, read_timeout_s: float = 10.0) -> None:
        self.clock = clock
        self.board = Board(clock)
        self.meter = StreamMeter("lobby")
        self.status = StreamStatus("lobby", self.board, read_timeout_s, self.meter)

    def go_live(self, **details: Any) -> None:
        self.status.connecting()
        self.status.opened(StreamDetails(**details))
        self.frames(1)

    def frames(self, count: int, every_s: float = 0.04, *, units: bool = False) -> None:
        for _ in range(count):
            self.clock.advance(every_s)
            if units:
                self.status.unit_seen(self.clock.monotonic())
            self.status.frame_seen(self.clock.monotonic())

    def stalls_after(self) -> float:
        """Seconds from now until the stream has stalled."""
        now_s = self.clock.monotonic()
        return next(tenth / 10 for tenth in range(10_000) if self.status.stalled_by(now_s + tenth / 10))


@pytest.fixture
def rig(clock: FakeClock) -> Rig:
    return Rig(clock)


def test_a_stream_starts_as_connecting(rig: Rig, clock: FakeClock) -> None:
    state = rig.status.snapshot()
    assert (state.state, state.reason, state.since, state.last_frame_s) == (
        "connecting",
        "starting",
        clock.wall(),
        None,
    )


def test_snapshot_has_the_time_of_the_newest_frame(rig: Rig, clock: FakeClock) -> None:
    rig.go_live()
    rig.frames(3)
    assert rig.status.snapshot().last_frame_s == clock.monotonic()


@pytest.mark.parametrize(
    ("read_timeout_s", "expected"),
    [pytest.param(10.0, 4.1, id="four seconds"), pytest.param(2.0, 1.7, id="80 %")],
)
def test_silence_shows_before_the_read_timeout(
    clock: FakeClock, read_timeout_s: float, expected: float
) -> None:
    rig = Rig(clock, read_timeout_s)
    rig.go_live(fps=25.0)
    rig.frames(100)
    # And two intervals.
    assert expected == pytest.approx(rig.stalls_after(), abs=0.11)


@pytest.mark.parametrize(("fps", "expected"), [(None, 6.0), (25.0, 6.0), (0.1, 24.0)])
def test_the_first_interval_is_the_declared_one_or_a_second(
    rig: Rig, fps: float | None, expected: float
) -> None:
    rig.go_live(fps=fps)
    assert expected == pytest.approx(rig.stalls_after(), abs=0.11)


def test_the_interval_follows_what_comes(rig: Rig) -> None:
    rig.go_live(fps=25.0)
    rig.frames(40, every_s=5.0)
    assert rig.stalls_after() == pytest.approx(14.0, abs=0.11)


def test_one_long_gap_moves_the_interval_by_an_eighth(rig: Rig) -> None:
    rig.go_live()
    rig.frames(100, every_s=1.0)
    rig.frames(1, every_s=9.0)
    # Four seconds, and two intervals of 1 + 8 / 8.
    assert rig.stalls_after() == pytest.approx(8.0, abs=0.11)


def test_nothing_stalls_before_the_first_frame(rig: Rig, clock: FakeClock) -> None:
    assert rig.status.stalled_by(clock.monotonic() + 1e6) is None


def test_silence_is_judged_by_arrivals_when_they_are_told(rig: Rig, clock: FakeClock) -> None:
    rig.go_live()
    rig.frames(50, units=True)
    for _ in range(1000):
        clock.advance(0.04)
        rig.status.unit_seen(clock.monotonic())
    assert rig.status.stalled_by(clock.monotonic()) is None


@pytest.mark.parametrize(
    ("hindrance", "expected"),
    [
        (None, ("undecodable", "frames arrive, but none can be used: they can't be decoded")),
        (
            ("damaged", "packets are lost"),
            ("damaged", "frames arrive, but none can be used: packets are lost"),
        ),
    ],
)
def test_owed_frames_stall_a_stream_with_their_cause(
    rig: Rig, clock: FakeClock, hindrance: Any, expected: tuple[str, str]
) -> None:
    rig.go_live()
    rig.frames(50, units=True)
    if hindrance:
        rig.status.hindered(*hindrance)
    for _ in range(100):
        clock.advance(0.04)
        rig.status.unit_seen(clock.monotonic())
        rig.status.frame_owed(clock.monotonic())
    assert rig.status.stalled_by(clock.monotonic()) is None
    for _ in range(10):
        clock.advance(0.04)
        rig.status.unit_seen(clock.monotonic())
    assert expected == rig.status.stalled_by(clock.monotonic())
    rig.frames(1, units=True)
    assert rig.status.stalled_by(clock.monotonic()) is None


def test_awaiting_a_key_frame_changes_only_a_stream_that_connects(rig: Rig) -> None:
    rig.status.connecting()
    rig.status.awaiting_key_frame()
    assert rig.status.current.reason == "key-frame"
    rig.frames(1)
    rig.status.awaiting_key_frame()
    assert (rig.status.current.state, rig.status.current.reason) == ("live", "ok")


def test_text_tells_of_the_model_the_hindrance_and_all_notes_in_this_order(rig: Rig) -> None:
    rig.go_live()
    rig.status.noted("clock", "its clock is wrong")
    rig.status.noted("size", "its size changed")
    rig.status.hindered("damaged", "packets are lost")
    rig.status.model_failing("the model fails")
    current = rig.status.current
    assert (current.reason, current.text) == (
        "model",
        "frames arrive; the model fails; packets are lost; its clock is wrong; its size changed",
    )
    rig.status.model_failing("")
    rig.status.noted("clock", "")
    current = rig.status.current
    assert (current.reason, current.text) == ("damaged", "frames arrive; packets are lost; its size changed")
    rig.status.hindered("", "")
    assert rig.status.current.reason == "ok"


def test_notes_wait_until_a_stream_is_live_and_go_with_the_connection(rig: Rig) -> None:
    rig.status.noted("clock", "its clock is wrong")
    assert rig.status.current.state == "connecting"
    rig.go_live()
    assert rig.status.current.text == "frames arrive; its clock is wrong"
    rig.status.forget_notes()
    rig.status.down("lost", "gone")
    rig.go_live()
    assert rig.status.current.text == "frames arrive"


def test_opened_forgets_a_hindrance_of_the_last_connection(rig: Rig) -> None:
    rig.status.hindered("damaged", "packets are lost")
    rig.go_live()
    assert rig.status.current.reason == "ok"


@pytest.mark.parametrize(("reason", "expected"), [("silent", "live"), ("undecodable", "stalled")])
def test_a_picture_ends_only_silence(rig: Rig, clock: FakeClock, reason: str, expected: str) -> None:
    rig.go_live()
    rig.board.change(rig.status, "stalled", reason, "")
    rig.status.unit_seen(clock.monotonic())
    assert expected == rig.status.current.state


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param(["live"], 0, id="the first time"),
        pytest.param(["down", "connecting", "live"], 0, id="after failures at the start"),
        pytest.param(["live", "stalled", "live"], 0, id="after a stall"),
        pytest.param(["live", "down", "connecting", "live"], 1, id="after a loss"),
        pytest.param(["live", "stalled", "down", "live"], 1, id="after a stall that became a loss"),
        pytest.param(["live", "down", "live", "connecting", "live"], 2, id="twice"),
    ],
)
def test_reconnects_count_returns_after_a_loss(rig: Rig, states: list[StateName], expected: int) -> None:
    for state in states:
        rig.board.change(rig.status, state, "any", "")
    assert (expected, expected) == (rig.status.current.reconnects, rig.meter.snapshot().reconnects)


def test_move_tells_whether_anything_is_new_and_keeps_since_within_a_state(
    rig: Rig, clock: FakeClock
) -> None:
    assert rig.status.move("down", "lost", "gone")
    since = rig.status.current.since
    clock.advance(5.0)
    assert not rig.status.move("down", "lost", "gone")
    assert rig.status.move("down", "refused", "gone")
    assert since == rig.status.current.since
    assert rig.status.move("connecting", "refused", "gone")
    assert rig.status.current.since == since + 5.0


def test_going_live_is_logged_with_the_time_since_the_attempt_began(rig: Rig, clock: FakeClock) -> None:
    clock.advance(60.0)
    with capture_logs() as logs:
        rig.status.connecting()
        rig.status.opened(StreamDetails("h264", 640, None))
        rig.frames(1, every_s=1.5)
        rig.board.change(rig.status, "stalled", "silent", "")
        rig.frames(1)
    found = [(log["event"], log["size"], log["took_s"], log["before"]) for log in logs]
    assert found == [("stream_live", None, 1.5, "connecting"), ("stream_live", None, None, "stalled")]
