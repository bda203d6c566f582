"""Detect when a load runs at the wanted rate; files first catch up with the time that their start took."""

from __future__ import annotations

from collections import deque

_OFF = 0.01
# Tolerance in frames per stream: if all come at once, a window's ends cut off that many.
_BUNCH = 0.5


class Steadiness:
    """Tells whether the rate has been the wanted one for some seconds, from repeated counts.

    Args:
        wanted: results per second, all streams together.
        streams: number of streams.
        seconds: how long the rate must hold.
    """

    def __init__(self, wanted: float, streams: int, seconds: float) -> None:
        self._wanted = wanted
        self._streams = streams
        self._seconds = seconds
        self._counts: deque[tuple[float, int]] = deque()

    def note(self, at_s: float, count: int) -> bool:
        """Record the count of results at a time; return True if the last seconds have the wanted rate."""
        self._counts.append((at_s, count))
        while len(self._counts) > 1 and at_s - self._counts[1][0] >= self._seconds:
            self._counts.popleft()
        since_s, before = self._counts[0]
        if at_s - since_s < self._seconds:
            return False
        expected = self._wanted * (at_s - since_s)
        return abs(count - before - expected) <= expected * _OFF + self._streams * _BUNCH
