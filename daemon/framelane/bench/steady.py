"""When a load runs as it should: not while files still catch up with what their start took."""

from __future__ import annotations

from collections import deque

_OFF = 0.01
_BUNCH = 0.5  # of a frame of each stream: where all come at once, a window's ends cut that many


class Steadiness:
    """Whether the rate has been what is wanted for some seconds: tell it the count again and again.

    Args:
        wanted: results a second, all streams together.
        streams: how many there are.
        seconds: for so long the rate must hold.
    """

    def __init__(self, wanted: float, streams: int, seconds: float) -> None:
        self._wanted = wanted
        self._streams = streams
        self._seconds = seconds
        self._counts: deque[tuple[float, int]] = deque()

    def note(self, at_s: float, count: int) -> bool:
        """Take the count of results at a time; True where those of the last seconds are as many as wanted."""
        self._counts.append((at_s, count))
        while len(self._counts) > 1 and at_s - self._counts[1][0] >= self._seconds:
            self._counts.popleft()
        since_s, before = self._counts[0]
        if at_s - since_s < self._seconds:
            return False
        expected = self._wanted * (at_s - since_s)
        return abs(count - before - expected) <= expected * _OFF + self._streams * _BUNCH
