"""When a frame of the stream is shown in the video of its sub-stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sources.ticking import TickingClock

from framelane.live.preview_times import PreviewTimes
from framelane.sources.timing.arrival_clock import Arrival

from .found import info

if TYPE_CHECKING:
    from framelane.core.frames import ClockName

NOW_S = 1_000_000.0
"""Unix time less monotonic time."""
MEDIA_S = 7.0
"""Media time of the sub-stream's picture that came at 50 s."""


@pytest.fixture
def times() -> PreviewTimes:
    clock = TickingClock()
    clock.wall = lambda: clock.monotonic() + NOW_S  # type: ignore[method-assign]
    return PreviewTimes(clock)


def arrival(at_s: float, clock: ClockName = "receive", captured_s: float | None = None) -> Arrival:
    return Arrival(at_s, NOW_S + (at_s if captured_s is None else captured_s), clock)


@pytest.mark.parametrize(
    ("stream", "preview", "expected"),
    [
        # The stream's picture was captured 0.3 s before the sub-stream's, and took 0.1 s longer.
        pytest.param(arrival(49.8, "rtcp", 49.5), arrival(50, "rtcp", 49.8), 6.7, id="camera's clock"),
        # The camera is an hour ahead.
        pytest.param(arrival(49.8, "rtcp", 3649.5), arrival(50, "rtcp", 3649.8), 6.7, id="wrong clock"),
        pytest.param(arrival(49.8), arrival(50), 6.8, id="both by arrival"),
        # Delayed by 0.1 s, which its time stamp tells.
        pytest.param(arrival(49.8, captured_s=49.7), arrival(50), 6.7, id="without jitter"),
        pytest.param(arrival(49.8, "rtcp", 3649.5), arrival(50), 6.8, id="only the stream has reports"),
        pytest.param(arrival(49.8), arrival(50, "rtcp", 3649.8), 6.8, id="only the sub-stream has reports"),
        pytest.param(arrival(49.8, "rtcp", 49.5), arrival(50, "rtcp", 20), 6.8, id="reports that disagree"),
        pytest.param(
            arrival(49.8, "playlist", 49.5), arrival(50, "rtcp", 49.8), 6.8, id="dates of a playlist"
        ),
    ],
)
def test_frame_is_placed_by_the_clock_that_both_have(
    times: PreviewTimes, stream: Arrival, preview: Arrival, expected: float
) -> None:
    times.unit(3 / 25, stream)
    times.shown(preview, MEDIA_S)
    assert times.media_s(info(3)) == pytest.approx(expected, abs=1e-6)


def test_all_results_of_a_frame_have_the_same_time(times: PreviewTimes) -> None:
    """The page joins the boxes of a stream's models by it."""
    times.unit(3 / 25, arrival(49.8))
    times.shown(arrival(50), MEDIA_S)
    first = times.media_s(info(3))
    times.shown(arrival(50.1), MEDIA_S + 0.08)
    assert times.media_s(info(3)) == first
    for number in range(4, 200):
        times.media_s(info(number))
    assert times.media_s(info(3)) != first


def test_frame_of_a_file_is_placed_by_the_time_at_which_it_was_played(times: PreviewTimes) -> None:
    times.shown(arrival(50), MEDIA_S)
    played = info(1250)
    assert times.media_s(played) == pytest.approx(MEDIA_S, abs=1e-6)


def test_nothing_is_placed_before_the_first_picture(times: PreviewTimes) -> None:
    times.unit(3 / 25, arrival(50))
    assert times.media_s(info(3)) is None


def test_pictures_of_long_ago_are_forgotten(times: PreviewTimes) -> None:
    for number in range(3000):
        times.unit(number / 25, arrival(number / 25))
    assert len(times._known) == 1024
