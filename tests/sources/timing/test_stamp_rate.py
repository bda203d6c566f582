"""Time stamps that do not advance as time does are told of, and nothing else is."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from framelane.sources.timing.stamp_rate import StampRate

if TYPE_CHECKING:
    from collections.abc import Callable

FPS = 25
Stamp = "Callable[[int], float]"


def told(stamp: Callable[[int], float], seconds: float, rate: StampRate | None = None, begin: int = 0) -> str:
    rate = rate or StampRate()
    for number in range(begin, begin + round(seconds * FPS)):
        rate.note(stamp(number), number / FPS)
    return rate.trouble


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (lambda number: number * 40 / 90_000, "stand still"),  # milliseconds
        (lambda _number: 12345.0, "stand still"),
        (lambda number: number / FPS * 1.19, "run at 119 % of the speed"),
        (lambda number: number / FPS * 0.6, "run at 60 % of the speed"),
        (lambda number: number * 3.6, "jump"),  # 90 kHz counted as milliseconds
    ],
)
def test_wrong_time_stamps_are_told_of_after_a_few_seconds(stamp: Callable[[int], float], text: str) -> None:
    assert text in told(stamp, 8)
    assert told(stamp, 3) == ""


@pytest.mark.parametrize(
    "stamp",
    [
        lambda number: number / FPS * 1.05,
        lambda number: number / FPS + (37_600 if number % 50 == 49 else 0),
        lambda number: number / FPS + (3_600 if number > 100 else 0),
        lambda number: number / FPS % 7.3,
    ],
    ids=["5 % fast", "outliers", "a jump", "starts again"],
)
def test_time_stamps_that_keep_our_time_are_not_told_of(stamp: Callable[[int], float]) -> None:
    assert told(stamp, 30) == ""


def test_a_stall_of_the_network_is_no_fault_of_the_time_stamps() -> None:
    rate, rng = StampRate(), random.Random(1)
    came_s = 0.0
    for number in range(60 * FPS):
        stall_s = 5.0 if number % (15 * FPS) == 100 else 0.0
        came_s = max(came_s, number / FPS + rng.uniform(0, 0.05)) + stall_s
        rate.note(number / FPS, came_s)
        assert rate.trouble == ""


def test_the_trouble_ends_when_the_time_stamps_are_right_again() -> None:
    rate = StampRate()
    assert told(lambda number: number / FPS / 2, 10, rate) != ""
    assert told(lambda number: number / FPS - 5, 20, rate, begin=10 * FPS) == ""
