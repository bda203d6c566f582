"""Which pictures are skipped when the host can't decode all, with a clock that the tests set."""

from __future__ import annotations

import av
import pytest

from framelane.sources.decoding.skip_policy import Level, SkipPolicy
from framelane.sources.interfaces.units import Unit

KEY, REFERENCE, DISPOSABLE = (
    Unit(av.Packet(b""), key=True, disposable=False),
    Unit(av.Packet(b""), key=False, disposable=False),
    Unit(av.Packet(b""), key=False, disposable=True),
)


class Stream:
    """Units at 25 per second, of groups that begin with a key picture."""

    def __init__(
        self, fps: float | None = 1.0, group: tuple[Unit, ...] = (KEY, *[REFERENCE, DISPOSABLE] * 12)
    ) -> None:
        self.now_s = 1000.0
        self.jitter: list[tuple[float, float]] = []
        self.policy = SkipPolicy(fps, self._uniform)
        self._group = group
        self._place = 0

    def _uniform(self, low: float, high: float) -> float:
        self.jitter.append((low, high))
        return 1.0

    def run(self, seconds: float) -> list[Unit]:
        """The units that are wanted in this time."""
        wanted = []
        for _ in range(round(seconds * 25)):
            unit = self._group[self._place % len(self._group)]
            self._place += 1
            self.now_s += 0.04
            if self.policy.wants(unit, self.now_s):
                wanted.append(unit)
        return wanted

    def late(self) -> Level:
        self.policy.late(self.now_s)
        return self.policy.level


NO_DISPOSABLE = (KEY, *[REFERENCE] * 24)


def test_all_are_wanted_while_none_is_late() -> None:
    stream = Stream()
    assert len(stream.run(60)) == 60 * 25


def test_disposable_ones_are_skipped_first_and_key_frames_kept_last() -> None:
    stream = Stream(fps=2.0)
    stream.run(10)
    assert stream.late() is Level.REFERENCES
    assert stream.run(2) == [KEY, *[REFERENCE] * 12] * 2
    assert stream.late() is Level.KEYS
    assert stream.run(2) == [KEY, KEY]
    assert stream.late() is Level.KEYS


def test_nothing_is_skipped_when_the_stream_has_no_limit() -> None:
    stream = Stream(fps=None)
    stream.run(10)
    assert stream.late() is Level.ALL
    assert len(stream.run(1)) == 25


@pytest.mark.parametrize(("fps", "expected"), [(2.0, Level.KEYS), (2.1, Level.ALL)])
def test_key_frames_alone_have_to_give_half_the_rate(fps: float, expected: Level) -> None:
    stream = Stream(fps, NO_DISPOSABLE)
    stream.run(20)
    assert expected is stream.late()


def test_key_frames_are_not_enough_until_two_have_come() -> None:
    stream = Stream(group=NO_DISPOSABLE)
    stream.run(0.9)
    assert stream.late() is Level.ALL


def test_a_gradual_refresh_is_no_key_frame() -> None:
    refresh = KEY._replace(recovery=12)
    stream = Stream(group=(refresh, *[REFERENCE] * 24))
    stream.run(20)
    assert stream.late() is Level.ALL


def test_disposable_key_frames_are_not_skipped_as_disposable() -> None:
    stream = Stream(fps=50.1, group=(KEY._replace(disposable=True),))
    stream.run(20)
    assert stream.late() is Level.ALL


def test_late_pictures_count_only_after_a_key_frame_at_the_new_level() -> None:
    stream = Stream(fps=2.0)
    stream.run(10)
    stream.late()
    stream.run(0.9)
    assert stream.late() is Level.REFERENCES
    stream.run(0.2)
    assert stream.late() is Level.KEYS


def test_all_are_wanted_again_ten_seconds_after_the_last_late_one() -> None:
    stream = Stream()
    stream.run(10)
    stream.late()
    stream.run(9.9)
    level = stream.policy.level
    stream.run(0.2)
    assert (level, stream.policy.level, stream.jitter[0]) == (Level.REFERENCES, Level.ALL, (0.75, 1.25))


def test_it_goes_up_from_key_frames_in_one_step_when_few_are_disposable() -> None:
    stream = Stream(group=NO_DISPOSABLE)
    stream.run(10)
    assert stream.late() is Level.KEYS
    stream.run(10.1)
    assert stream.policy.level is Level.ALL


def test_each_failed_attempt_doubles_the_wait_up_to_five_minutes() -> None:
    stream = Stream(group=NO_DISPOSABLE)
    stream.run(10)
    waits = []
    for _ in range(7):
        assert stream.late() is Level.KEYS
        began_s = stream.now_s
        while stream.policy.level is Level.KEYS:
            stream.run(0.04)
        waits.append(stream.now_s - began_s)
        stream.run(1)
    assert waits == pytest.approx([10, 20, 40, 80, 160, 300, 300], abs=0.1)


@pytest.mark.parametrize(("pause_s", "wait_s"), [(29.0, 20.0), (31.0, 10.0)])
def test_an_attempt_has_failed_when_pictures_are_late_within_half_a_minute(
    pause_s: float, wait_s: float
) -> None:
    stream = Stream(group=NO_DISPOSABLE)
    stream.run(10)
    stream.late()
    stream.run(10.1)
    assert stream.policy.level is Level.ALL
    stream.run(pause_s)
    stream.late()
    stream.run(wait_s - 0.2)
    assert stream.policy.level is Level.KEYS
    stream.run(0.4)
    assert stream.policy.level is Level.ALL


def test_the_wait_is_short_again_after_half_a_minute_without_late_pictures() -> None:
    stream = Stream(group=NO_DISPOSABLE)
    stream.run(10)
    for pause_s in (10.1, 20.1 + 30.0):
        assert stream.late() is Level.KEYS
        stream.run(pause_s)
        assert stream.policy.level is Level.ALL
    stream.late()
    stream.run(10.1)
    assert stream.policy.level is Level.ALL


@pytest.mark.parametrize(("fps", "expected"), [(1.0, Level.REFERENCES), (2.0, Level.ALL), (None, Level.ALL)])
def test_another_limit_begins_with_all_pictures(fps: float | None, expected: Level) -> None:
    stream = Stream(fps=1.0)
    stream.run(10)
    stream.late()
    stream.policy.limit(fps)
    assert expected is stream.policy.level
