"""Holds a second model back while the first one lacks time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framelane.core.clock import Clock
    from framelane.inference.worker import ModelWorker

_SHARE = 0.01
"""Share of the first model's slots that the second one may take while frames are replaced.

Cutting crops and telling attributes take about as much again.
"""
_SHORT_S = 2.0
"""Seconds for which a replaced frame counts as lack of time."""


class SpareTime:
    """Tells whether a second model may run: freely, or as long as it takes little from the first one.

    On a host that is fully busy both share its cores. The first model then lacks time, and its batcher replaces
    frames.

    Args:
        first: the model that finds the objects.
        second: the model that looks at them.
        clock: the clock.
    """

    def __init__(self, first: ModelWorker, second: ModelWorker, clock: Clock) -> None:
        self._first = first
        self._second = second
        self._clock = clock
        self._replaced = first.batcher.replaced
        self._short_until_s = float("-inf")
        # When the lack began, and what the second model had spent by then.
        self._since_s = 0.0
        self._spent_s = 0.0

    def is_short(self) -> bool:
        """Return whether the first model has replaced frames lately."""
        now_s, replaced = self._clock.monotonic(), self._first.batcher.replaced
        if replaced != self._replaced:
            if now_s >= self._short_until_s:
                self._since_s, self._spent_s = now_s, self._second.meter.snapshot().spent_s
            self._replaced, self._short_until_s = replaced, now_s + _SHORT_S
        return now_s < self._short_until_s

    def allows_one(self) -> bool:
        """Return whether a crop is within the second model's share, since time became short."""
        allowed_s = _SHARE * self._first.slots * (self._clock.monotonic() - self._since_s)
        return self._second.meter.snapshot().spent_s - self._spent_s < allowed_s
