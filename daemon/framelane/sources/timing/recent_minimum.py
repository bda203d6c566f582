"""The smallest recent value, which shows a delay without queueing."""

from __future__ import annotations

import math
from collections import deque

_PIECES = 4


class RecentMinimum:
    """The smallest value of about the last `span_s` seconds in which values came.

    The span is kept in pieces, and each value discards at most one. So a pause ages nothing: values after it
    are still compared with those before.

    Args:
        span_s: how long a value counts, in seconds.
    """

    def __init__(self, span_s: float) -> None:
        self._piece_s = span_s / _PIECES
        self._pieces: deque[float] = deque(maxlen=_PIECES)
        self._began_s = 0.0
        self.value = math.inf
        """The minimum; infinite before the first value."""

    def add(self, value: float, now_s: float) -> float:
        """Take a value at this monotonic time and return the minimum, including the value."""
        if not self._pieces or now_s - self._began_s >= self._piece_s:
            self._pieces.append(value)
            self._began_s = now_s
            self.value = min(self._pieces)
        elif value < self._pieces[-1]:
            self.lower(value)
        return self.value

    def lower(self, value: float) -> None:
        """Take a value that may only lower the minimum, without advancing the time of the pieces."""
        if self._pieces and value < self._pieces[-1]:
            self._pieces[-1] = value
            self.value = min(self.value, value)

    def __bool__(self) -> bool:
        return bool(self._pieces)
