"""Plans are the same for the same seed, and leave each target time to recover."""

from __future__ import annotations

from itertools import groupby
from random import Random

import pytest

from lab.chaos.plan import BROKER, Strike, Weather, make_plan

CAMERAS = [f"cam{number:02d}" for number in range(16)]
WEATHER = Weather(rounds=12, storm_s=75.0, calm_s=25.0)


def plan_of(seed: int) -> list[Strike]:
    return make_plan(Random(seed), WEATHER, CAMERAS, ["w0", "w1"])


def test_plan_is_the_same_when_the_seed_is() -> None:
    assert plan_of(7) == plan_of(7)
    assert plan_of(7) != plan_of(8)


def test_plan_strikes_every_kind_of_target_in_every_way() -> None:
    struck = {(strike.target.rstrip("0123456789"), strike.kind) for strike in plan_of(7)}

    assert {("cam", "kill"), ("cam", "hang"), ("w", "kill")} <= struck
    assert {(BROKER, "kill"), (BROKER, "hang"), (BROKER, "stop")} <= struck


@pytest.mark.parametrize("seed", range(20))
def test_outages_of_a_target_follow_one_another_and_end_with_the_storm(seed: int) -> None:
    plan = plan_of(seed)

    assert plan == sorted(plan, key=lambda strike: strike.at_s)
    for _, strikes in groupby(sorted(plan, key=lambda each: each.target), lambda each: each.target):
        free_s = 0.0
        for strike in strikes:
            assert strike.at_s >= free_s
            free_s = strike.at_s + strike.outage_s
            assert strike.at_s % WEATHER.round_s + strike.outage_s <= WEATHER.storm_s + 1e-6


@pytest.mark.parametrize(("minutes", "rounds"), [(20.0, 12), (0.1, 1), (5.1, 3)])
def test_weather_has_as_many_whole_rounds_as_fit(minutes: float, rounds: int) -> None:
    assert rounds == Weather.of(minutes, 75.0, 25.0).rounds
