"""Turns the jittery arrival times of pictures into even ones that advance at the same rate."""

from __future__ import annotations

_MOST_ERROR_S = 1.0
"""A larger error is not jitter: pictures were missing, or the rate has changed a lot."""
_TIME_GAIN, _PERIOD_GAIN = 0.1, 0.005
"""Shares of an error that correct time and period once the period is known.

They give a bandwidth of 0.3 Hz at 25 pictures per second.
"""


class SteadyTime:
    """A delay-locked loop: it follows the rate of arrivals exactly, and single arrivals hardly at all.

    Each picture is expected one period after the previous one. The error of that estimate corrects time and
    period: strongly at first, like a straight line through all arrivals so far, and weakly later (F.
    Adriaensen, "Using a DLL to filter time", 2005).
    """

    def __init__(self) -> None:
        self._at_s = self._period_s = 0.0
        self._count = 0

    def place(self, arrived_s: float) -> float:
        """Return the even time of the next picture, which arrived at this monotonic time; both in seconds."""
        expected_s = self._at_s + self._period_s
        error_s = arrived_s - expected_s
        if not self._count or abs(error_s) > _MOST_ERROR_S:
            self._count, self._at_s, self._period_s = 1, arrived_s, 0.0
            return arrived_s
        self._count += 1
        count = self._count
        time_gain = max((4 * count - 2) / (count * (count + 1)), _TIME_GAIN)
        period_gain = max(6 / (count * (count + 1)), _PERIOD_GAIN)
        self._at_s = expected_s + time_gain * error_s
        self._period_s = max(self._period_s + period_gain * error_s, 0.0)
        return self._at_s
