"""Times go forward at the pace of the best clock there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.analytics.frame_clock import FrameClock
from framelane.core.frames import FrameInfo

if TYPE_CHECKING:
    from framelane.core.frames import ClockName


def frame(clock: ClockName, *, pts_s: float = 0.0, captured_at: float = 0.0, received_s: float) -> FrameInfo:
    return FrameInfo("gate", 0, pts_s, captured_at, clock, received_s, 640, 360)


def test_file_goes_by_its_time_stamps_however_fast_it_is_read() -> None:
    clock = FrameClock()
    times = [clock.at(frame("media", pts_s=n / 5, received_s=100 + n / 1000)) for n in range(5)]
    assert times == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])


def test_file_that_begins_again_stands_still_for_one_frame() -> None:
    clock = FrameClock()
    stamps = [0.0, 0.2, 0.4, 0.0, 0.2]
    times = [clock.at(frame("media", pts_s=pts_s, received_s=100 + n)) for n, pts_s in enumerate(stamps)]
    assert times == pytest.approx([0.0, 0.2, 0.4, 0.4, 0.6])


def test_trusted_camera_goes_by_its_own_clock() -> None:
    clock = FrameClock()
    captured = [1000.0, 1000.1, 1000.2]
    # The network held the second frame up.
    received = [50.0, 50.3, 50.31]
    times = [
        clock.at(frame("rtcp", captured_at=at, received_s=got))
        for at, got in zip(captured, received, strict=True)
    ]
    assert times == pytest.approx([0.0, 0.1, 0.2])


def test_untrusted_camera_goes_by_our_monotonic_clock_whatever_the_wall_clock_does() -> None:
    clock = FrameClock()
    walls = [1000.0, 4600.0, 1000.2]
    times = [clock.at(frame("receive", captured_at=at, received_s=50 + n / 10)) for n, at in enumerate(walls)]
    assert times == pytest.approx([0.0, 0.1, 0.2])


def test_clock_that_is_set_or_changes_costs_no_time() -> None:
    clock = FrameClock()
    frames = [
        frame("rtcp", captured_at=1000.0, received_s=50.0),
        frame("rtcp", captured_at=8200.0, received_s=50.2),
        frame("rtcp", captured_at=8200.1, received_s=50.3),
        frame("receive", captured_at=1000.5, received_s=50.4),
        frame("rtcp", captured_at=8200.3, received_s=50.5),
        frame("rtcp", captured_at=8200.2, received_s=50.6),
    ]
    assert [clock.at(each) for each in frames] == pytest.approx([0.0, 0.2, 0.3, 0.4, 0.5, 0.5])
