"""Delays double up to a limit, with jitter so that cameras don't retry in step."""

from __future__ import annotations

import pytest

from framelane.core.backoff import Backoff


def lowest(low: float, high: float) -> float:
    return low


def highest(low: float, high: float) -> float:
    return high


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_next_doubles_up_to_the_most() -> None:
    backoff = Backoff(1, 60, uniform=middle)
    assert [backoff.next_s() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(("uniform", "expected"), [(lowest, [0.75, 1.5, 3.0]), (highest, [1.25, 2.5, 5.0])])
def test_next_is_spread_by_a_quarter(uniform: object, expected: list[float]) -> None:
    backoff = Backoff(1, 60, uniform=uniform)  # type: ignore[arg-type]
    assert [backoff.next_s() for _ in range(3)] == expected


def test_next_never_passes_the_most_when_jitter_would() -> None:
    backoff = Backoff(1, 60, uniform=highest)
    assert max(backoff.next_s() for _ in range(5000)) == 60


def test_next_takes_the_most_when_it_is_less_than_the_first() -> None:
    assert Backoff(10, 2, uniform=middle).next_s() == 2


def test_reset_starts_again() -> None:
    backoff = Backoff(1, 60, uniform=middle)
    for _ in range(4):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 1


def test_next_differs_between_cameras() -> None:
    assert len({Backoff(1, 60).next_s() for _ in range(20)}) > 10
