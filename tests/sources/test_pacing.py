"""Frame-rate limit and real-time pacing, without waiting for real time."""

from __future__ import annotations

import threading

import pytest

from framelane.sources.pacing import FrameRateLimit, RealtimePacer


@pytest.mark.parametrize(
    ("source_fps", "limit_fps", "expected"),
    [(25, None, 250), (25, 25, 250), (25, 10, 100), (30, 7, 70), (15, 30, 150), (25, 0.5, 5)],
)
def test_due_lets_through_the_wanted_rate(source_fps: float, limit_fps: float | None, expected: int) -> None:
    limit = FrameRateLimit(limit_fps)
    count = sum(limit.due(index / source_fps) for index in range(round(10 * source_fps)))
    assert count == pytest.approx(expected, abs=1)


def test_due_keeps_the_rate_when_cameras_jitter() -> None:
    limit = FrameRateLimit(25)
    jitter = [0.0, 0.003, -0.003, 0.002, -0.002]
    assert all(limit.due(index / 25 + jitter[index % 5]) for index in range(250))


def test_due_starts_anew_when_the_stream_had_a_gap() -> None:
    limit = FrameRateLimit(10)
    assert [limit.due(pts_s) for pts_s in (0.0, 0.05, 30.0, 30.05, 30.1)] == [True, False, True, False, True]


class PacedClock:
    """Time passes only while the pacer waits."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


class RecordingEvent(threading.Event):
    def __init__(self, clock: PacedClock) -> None:
        super().__init__()
        self.clock = clock
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(round(timeout, 6))
        self.clock.now_s += timeout
        return False


def test_wait_holds_each_frame_until_its_time() -> None:
    clock = PacedClock()
    stopping = RecordingEvent(clock)
    pacer = RealtimePacer(clock, stopping)
    for pts_s in (7.0, 7.1, 7.2):
        pacer.wait(pts_s)
    assert stopping.waits == [0.1, 0.1]


def test_wait_goes_on_from_now_when_it_fell_far_behind() -> None:
    clock = PacedClock()
    stopping = RecordingEvent(clock)
    pacer = RealtimePacer(clock, stopping)
    pacer.wait(0.0)
    clock.now_s += 100
    pacer.wait(0.1)
    pacer.wait(0.2)
    assert stopping.waits == [0.1]


@pytest.mark.parametrize("gap_s", [1.5, 30.0, 10_800.0])
def test_wait_does_not_wait_for_the_end_of_a_gap(gap_s: float) -> None:
    clock = PacedClock()
    stopping = RecordingEvent(clock)
    pacer = RealtimePacer(clock, stopping)
    for pts_s in (0.0, 0.04, 0.08, 0.08 + gap_s, 0.12 + gap_s, 0.16 + gap_s):
        pacer.wait(pts_s)
    assert stopping.waits == [0.04] * 4


def test_wait_ignores_a_single_time_stamp_that_is_wrong() -> None:
    clock = PacedClock()
    stopping = RecordingEvent(clock)
    pacer = RealtimePacer(clock, stopping)
    for pts_s in (0.0, 0.04, 8000.0, 0.12, 0.16):
        pacer.wait(pts_s)
    assert stopping.waits == [0.04, 0.04]


def test_wait_keeps_the_pace_of_a_film_with_one_picture_every_five_seconds() -> None:
    clock = PacedClock()
    stopping = RecordingEvent(clock)
    pacer = RealtimePacer(clock, stopping)
    for index in range(5):
        pacer.wait(5.0 * index)
    assert stopping.waits == [5.0] * 3  # the first of its steps could as well be a gap
