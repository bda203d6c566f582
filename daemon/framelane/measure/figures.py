"""The arithmetic of benchmarks: percentiles, spread over rounds, fairness, the ideal, and flatness."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_RANKS = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The distribution of a duration in milliseconds, over `count` values."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    most: float

    @staticmethod
    def of_ms(values_ms: Sequence[float]) -> Percentiles | None:
        """Return the percentiles, interpolated as by NumPy; None without values."""
        if not len(values_ms):
            return None
        values = np.asarray(values_ms, np.float64)
        p50, p90, p95, p99 = np.percentile(values, _RANKS).tolist()
        return Percentiles(len(values), float(values.mean()), p50, p90, p95, p99, float(values.max()))

    @staticmethod
    def of_seconds(values_s: Sequence[float]) -> Percentiles | None:
        """Return the percentiles of values in seconds."""
        return Percentiles.of_ms((np.asarray(values_s, np.float64) * 1e3).tolist())


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over several rounds."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Return median and extremes of at least one round."""
        return Spread(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Flatness:
    """How a quantity behaved over time after a warm-up.

    Attributes:
        first: value at the end of the warm-up.
        last: the last value.
        middle: the median.
        slope_an_hour: of the best-fit straight line, per hour.
        swing: the largest distance from the median, as a share of it: 0.05 is 5 %.
    """

    first: float
    last: float
    middle: float
    slope_an_hour: float
    swing: float

    @staticmethod
    def of(times_s: Sequence[float], values: Sequence[float]) -> Flatness:
        """Describe at least one sample."""
        middle = median(values)
        furthest = max(abs(value - middle) for value in values)
        return Flatness(
            first=values[0],
            last=values[-1],
            middle=middle,
            slope_an_hour=slope(times_s, values) * 3600,
            swing=furthest / middle if middle else 0.0,
        )


def slope(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Return the least-squares rise per second; 0 if all times are the same."""
    at = np.asarray(times_s, np.float64)
    at = at - at.mean()
    spread = float(at @ at)
    return float(at @ np.asarray(values, np.float64)) / spread if spread else 0.0


def slowest_to_fastest(rates: Sequence[float]) -> float | None:
    """Return the slowest stream's rate over the fastest's: 1 is perfectly fair.

    None without rates, or if all are zero.
    """
    fastest = max(rates, default=0.0)
    return min(rates) / fastest if fastest else None


def bunching(times_s: Sequence[float], interval_s: float) -> float:
    """Return how much periodic events bunch: 0 if spread evenly over the interval, 1 if all come at once.

    This is the length of the mean of the events as unit vectors (mean resultant length of circular
    statistics).
    """
    angles = np.asarray(times_s, np.float64) % interval_s * (2 * np.pi / interval_s)
    return float(abs(np.exp(1j * angles).mean())) if len(angles) else 0.0


def change(before: float, after: float) -> float:
    """Return the relative change: 0.05 is 5 % more."""
    return (after - before) / before if before else 0.0


def ideal_fps(cores: float, decode_cores: float, core_s_an_image: float, others_cores: float = 0.0) -> float:
    """Return images per second that a machine could infer if only decoding and inference took time.

    Args:
        cores: available CPU cores.
        decode_cores: core-seconds per second for decoding the streams.
        core_s_an_image: core-seconds of the model per image.
        others_cores: core-seconds per second for other processes.
    """
    return max(cores - decode_cores - others_cores, 0.0) / core_s_an_image
