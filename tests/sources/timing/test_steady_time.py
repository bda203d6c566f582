"""Even times from jittery arrivals, and what the limit on frames per second makes of them."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from framelane.sources.pacing import FrameRateLimit
from framelane.sources.timing.steady_time import SteadyTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SECONDS = 40


def even(fps: float) -> list[float]:
    return [number / fps for number in range(round(SECONDS * fps))]


def jittery(fps: float, jitter_s: float) -> list[float]:
    rng = random.Random(7)
    return sorted(at_s + rng.uniform(0, jitter_s) for at_s in even(fps))


def pausing(fps: float, pause_s: float) -> list[float]:
    """Each second the network holds pictures up, and then delivers all of them at once."""
    return [int(at_s) + max(at_s % 1, pause_s) for at_s in even(fps)]


def in_bursts(fps: float, count: int) -> list[float]:
    """A relay collects so many pictures before it sends them."""
    return [(number // count + 1) * count / fps for number in range(round(SECONDS * fps))]


def passed(arrivals: Iterable[float], fps: float) -> list[float]:
    steady, limit = SteadyTime(), FrameRateLimit(fps)
    return [at_s for at_s in arrivals if limit.due(steady.place(at_s))]


@pytest.mark.parametrize("fps", [1.0, 5.0, 7.0, 10.0])
@pytest.mark.parametrize(
    "arrivals",
    [
        pytest.param(lambda: even(25), id="even"),
        pytest.param(lambda: even(15), id="15 per second"),
        pytest.param(lambda: jittery(25, 0.08), id="jitter of two intervals"),
        pytest.param(lambda: jittery(25, 0.3), id="jitter of a third of a second"),
        pytest.param(lambda: pausing(25, 0.5), id="half a second held up each second"),
        pytest.param(lambda: in_bursts(25, 5), id="bursts of 5"),
        pytest.param(lambda: in_bursts(25, 20), id="bursts of 20"),
    ],
)
def test_the_limit_is_kept_whatever_the_arrivals_do(arrivals: Callable[[], list[float]], fps: float) -> None:
    times = [at_s for at_s in passed(arrivals(), fps) if at_s >= 10]
    assert len(times) == pytest.approx((SECONDS - 10) * fps, rel=0.02, abs=1)


def test_pictures_are_passed_evenly_when_they_come_in_bursts() -> None:
    """About every fifth of them, and not the first ones of each burst."""
    arrivals = in_bursts(25, 20)
    steady, limit = SteadyTime(), FrameRateLimit(5)
    numbers = [number for number, at_s in enumerate(arrivals) if limit.due(steady.place(at_s))]
    steps = {after - before for before, after in pairwise(numbers[20:])}
    assert steps <= {3, 4, 5, 6, 7}


def test_times_follow_the_arrivals_after_a_pause_and_when_the_rate_changes() -> None:
    steady = SteadyTime()
    for at_s in even(25):
        steady.place(at_s)
    assert steady.place(SECONDS + 30.0) == SECONDS + 30.0
    slow = [steady.place(SECONDS + 30.0 + number) for number in range(1, 30)]
    assert slow[-1] == pytest.approx(SECONDS + 59.0, abs=0.05)
