"""The smallest of the values seen lately, which is how a delay shows what it is without queues."""

from __future__ import annotations

from collections import deque

_PIECES = 4


class RecentFloor:
    """The smallest value of about the last `span_s` seconds in which values came.

    The span is kept in pieces, and no more than one goes with each value. So a pause ages nothing: what follows it
    is still compared with what came before.

    Args:
        span_s: how long a value counts.
    """

    def __init__(self, span_s: float) -> None:
        self._piece_s = span_s / _PIECES
        self._pieces: deque[float] = deque(maxlen=_PIECES)
        self._began_s = 0.0

    def add(self, value: float, now_s: float) -> float:
        """Take a value at this monotonic time; return the floor, the value included."""
        pieces = self._pieces
        if not pieces or now_s - self._began_s >= self._piece_s:
            pieces.append(value)
            self._began_s = now_s
        elif value < pieces[-1]:
            pieces[-1] = value
        return min(pieces)

    def lower(self, value: float) -> None:
        """Take a value that may only lower the floor: the time of the pieces does not go on."""
        if self._pieces and value < self._pieces[-1]:
            self._pieces[-1] = value

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def value(self) -> float:
        """The floor; there has to be a value."""
        return min(self._pieces)
