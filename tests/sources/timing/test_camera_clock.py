"""When a camera's clock is trusted, and what a picture's capture is by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.sources.timing.camera_clock import CameraClock

if TYPE_CHECKING:
    from framelane.config.sections.stream import ClockChoice

WALL_S = 1_800_000_000.0
STEP_S = 0.1


class Pictures:
    """Pictures at ten per second, of a camera whose clock differs from ours."""

    def __init__(self, wanted: ClockChoice = "auto", ahead_s: float = 0.0, transit_s: float = 0.05) -> None:
        self.clock = CameraClock(wanted)
        self.ahead_s = ahead_s
        self.transit_s = transit_s
        self.now_s = 50.0
        self.stamps_right = True

    def take(self, late_s: float = 0.0, odd_s: float = 0.0) -> float | None:
        """How long before its arrival the next picture was captured; None without trust."""
        self.now_s += STEP_S
        captured_at = WALL_S + self.now_s
        arrived_at = captured_at + self.transit_s + late_s
        found = self.clock.captured_at(
            captured_at + self.ahead_s + odd_s,
            arrived_at,
            self.now_s + self.transit_s + late_s,
            stamps_right=self.stamps_right,
        )
        return None if found is None else arrived_at - found

    def run(self, seconds: float) -> list[float | None]:
        return [self.take() for _ in range(round(seconds / STEP_S))]


@pytest.mark.parametrize("wanted", ["auto", "rtcp"])
def test_capture_is_the_cameras_time_when_its_clock_is_right(wanted: ClockChoice) -> None:
    pictures = Pictures(wanted)
    assert pictures.run(5) == pytest.approx([0.05] * 50, abs=1e-4)
    assert pictures.take(late_s=0.7) == pytest.approx(0.75, abs=1e-4)


def test_offset_is_unknown_until_the_first_picture() -> None:
    assert CameraClock("auto").offset_s is None


@pytest.mark.parametrize("wanted", ["auto", "rtcp", "receive"])
@pytest.mark.parametrize("ahead_s", [-3600.0, -2.0, 0.3, 500.0])
def test_offset_is_that_of_the_fastest_picture(wanted: ClockChoice, ahead_s: float) -> None:
    pictures = Pictures(wanted, ahead_s)
    pictures.take(late_s=0.4)
    pictures.run(1)
    assert pictures.clock.offset_s == pytest.approx(ahead_s - 0.05, abs=1e-4)


@pytest.mark.parametrize(
    ("behind_s", "trusted"), [(9.99, True), (-9.99, True), (10.01, False), (-10.01, False), (1e9, False)]
)
def test_auto_trusts_a_clock_within_ten_seconds(behind_s: float, *, trusted: bool) -> None:
    pictures = Pictures(ahead_s=-behind_s, transit_s=0.0)
    assert trusted is (pictures.take() is not None)


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
def test_rtcp_trusts_any_clock(ahead_s: float) -> None:
    assert Pictures("rtcp", ahead_s).take() == pytest.approx(0.05 - ahead_s, abs=1e-4)


def test_receive_trusts_no_clock() -> None:
    assert Pictures("receive").run(1) == [None] * 10


@pytest.mark.parametrize("wanted", ["auto", "rtcp"])
def test_no_clock_is_trusted_when_the_time_stamps_are_wrong(wanted: ClockChoice) -> None:
    pictures = Pictures(wanted)
    pictures.stamps_right = False
    assert pictures.take() is None


def test_captures_follow_the_arrivals_when_the_clock_drifts_further_ahead() -> None:
    pictures = Pictures(ahead_s=0.35)
    assert pictures.run(40)[-1] == pytest.approx(-0.3, abs=1e-4)
    pictures.ahead_s = 0.5
    assert pictures.run(2) == pytest.approx([0.0] * 20, abs=1e-4)
    assert pictures.take(late_s=0.2) == pytest.approx(0.2, abs=1e-4)


def test_trust_changes_at_most_once_a_minute() -> None:
    pictures = Pictures()
    pictures.run(1)
    pictures.stamps_right = False
    assert pictures.take() is None
    pictures.stamps_right = True
    assert set(pictures.run(59)) == {None}
    assert None not in pictures.run(2)[15:]


@pytest.mark.parametrize(("ahead_s", "trusted"), [(-9.0, False), (-7.9, True)])
def test_trust_comes_back_only_when_the_clock_is_within_eight_seconds(
    ahead_s: float, *, trusted: bool
) -> None:
    pictures = Pictures(ahead_s=-11.0, transit_s=0.0)
    assert pictures.take() is None
    pictures.ahead_s = ahead_s
    assert trusted is (pictures.run(60)[-1] is not None)


def test_one_odd_time_stamp_follows_from_the_picture_before() -> None:
    pictures = Pictures()
    pictures.run(1)
    assert pictures.take(odd_s=1800.0) == pytest.approx(0.05, abs=1e-4)
    assert pictures.take() == pytest.approx(0.05, abs=1e-4)
    assert pictures.clock.offset_s == pytest.approx(-0.05, abs=1e-4)


def test_two_odd_time_stamps_that_contradict_each_other_change_nothing() -> None:
    pictures = Pictures()
    pictures.run(1)
    found = [pictures.take(odd_s=odd_s) for odd_s in (1800.0, -1800.0, 0.0)]
    assert found == pytest.approx([0.05] * 3, abs=1e-4)


def test_captures_follow_the_arrivals_when_the_clock_was_set() -> None:
    pictures = Pictures()
    pictures.run(35)
    pictures.ahead_s = 5.0
    # The first picture is odd, the second shows that the clock was set.
    assert pictures.run(5) == pytest.approx([0.05] * 50, abs=1e-4)
    pictures.run(35)
    assert pictures.clock.offset_s == pytest.approx(4.95, abs=1e-4)
    assert pictures.take() == pytest.approx(0.05 - 5.0, abs=1e-4)


@pytest.mark.parametrize("step_s", [0.9, -0.9])
def test_a_step_below_a_second_is_no_jump(step_s: float) -> None:
    pictures = Pictures("rtcp")
    pictures.run(1)
    pictures.ahead_s = step_s
    assert pictures.take() == pytest.approx(0.05 - step_s, abs=1e-4)
