"""The arithmetic of benchmarks."""

from __future__ import annotations

import pytest

from framelane.measure.figures import (
    Flatness,
    Percentiles,
    Spread,
    bunching,
    change,
    ideal_fps,
    slope,
    slowest_to_fastest,
)


def test_percentiles_interpolate_between_values() -> None:
    assert Percentiles(101, 50.0, 50.0, 90.0, 95.0, 99.0, 100.0) == Percentiles.of_ms(range(101))


def test_percentiles_of_seconds_are_in_milliseconds() -> None:
    found = Percentiles.of_seconds([0.010, 0.030])

    assert found is not None
    assert (found.count, found.mean, found.p50, found.most) == (2, 20.0, 20.0, 30.0)


def test_percentiles_are_none_when_there_is_nothing() -> None:
    assert Percentiles.of_ms([]) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0, 1.0, 2.0], Spread(2.0, 1.0, 3.0)),
        ([4.0, 1.0], Spread(2.5, 1.0, 4.0)),
        ([7.0], Spread(7.0, 7.0, 7.0)),
    ],
)
def test_spread_is_median_and_extremes(values: list[float], expected: Spread) -> None:
    assert expected == Spread.of(values)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [([10.0, 9.0, 12.0], 0.75), ([5.0], 1.0), ([0.0, 5.0], 0.0), ([0.0, 0.0], None), ([], None)],
)
def test_slowest_to_fastest_is_the_streams_ratio(rates: list[float], expected: float | None) -> None:
    assert expected == slowest_to_fastest(rates)


def test_ideal_fps_is_the_free_cores_over_the_cost_of_an_image() -> None:
    assert pytest.approx((2 - 0.42) / 0.0139) == ideal_fps(2, 0.42, 0.0139)
    assert pytest.approx((2 - 0.42 - 0.1) / 0.0139) == ideal_fps(2, 0.42, 0.0139, others_cores=0.1)


def test_ideal_fps_is_zero_when_decoding_takes_every_core() -> None:
    assert ideal_fps(1, 1.5, 0.01) == 0.0


def test_slope_is_that_of_the_line() -> None:
    assert pytest.approx(2.0) == slope([0.0, 1.0, 2.0, 3.0], [5.0, 7.0, 9.0, 11.0])
    assert slope([1.0, 1.0], [3.0, 4.0]) == 0.0


def test_flatness_tells_slope_and_swing() -> None:
    flatness = Flatness.of([0.0, 5.0, 10.0], [100.0, 102.0, 105.0])

    assert (flatness.first, flatness.last, flatness.middle) == (100.0, 105.0, 102.0)
    assert pytest.approx(0.5 * 3600) == flatness.slope_an_hour
    assert pytest.approx(3 / 102) == flatness.swing


def test_change_is_relative() -> None:
    assert pytest.approx(-0.05) == change(200.0, 190.0)
    assert change(0.0, 5.0) == 0.0


def test_bunching_is_1_when_all_come_at_once_and_0_when_spread() -> None:
    assert pytest.approx(1.0) == bunching([10.0, 10.5, 11.0], 0.5)
    assert pytest.approx(0.0, abs=1e-9) == bunching([0.0, 0.25, 0.5, 0.75], 1.0)
    assert bunching([], 1.0) == 0.0
