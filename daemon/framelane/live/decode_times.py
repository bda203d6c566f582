"""Estimates decoding times, which RTP lacks, from presentation times in decoding order."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

_DEFAULT_TICKS = 3600
"""One picture at 25 per second, until two pictures have come."""
FIRST_DELAY_TICKS = 4 * _DEFAULT_TICKS
"""How long pictures are decoded before they are shown, until reordering shows that it must be longer.

Not all players take pictures that are decoded after they are shown.
"""
_REMEMBERED = 17
"""Pictures that the interval is estimated from: H.264 and H.265 reorder at most 16."""


class DecodeTimes:
    """Decoding times that increase, lie before presentation times where possible, and have no large steps.

    A browser treats a step of more than twice the last picture's duration as a break, and discards pictures
    up to the next key frame (Media Source Extensions, coded frame processing). After a gap, decoding times
    therefore lag behind and catch up over the next pictures. Players use them for the order only.
    """

    def __init__(self) -> None:
        self._shown: deque[int] = deque(maxlen=_REMEMBERED)
        self._newest: int | None = None
        self._due = self._last = 0
        self._duration = _DEFAULT_TICKS
        self._delay = FIRST_DELAY_TICKS
        self._reorders = False

    def place(self, show_ticks: int) -> tuple[int, int]:
        """Return decoding time and duration of the next picture in decoding order."""
        newest, last, duration = self._newest, self._last, self._duration
        self._shown.append(show_ticks)
        self._duration = self._interval()
        if newest is None:
            self._newest = self._due = show_ticks
            self._last = show_ticks - self._delay
            return self._last, self._duration
        self._reorders |= show_ticks < newest
        if not self._reorders:
            self._due = show_ticks
        elif show_ticks > newest:
            # The pictures between the two are still to come.
            self._due = newest + self._duration
        else:
            self._due += self._duration
        self._delay = max(self._delay, self._due - show_ticks)
        self._newest = max(newest, show_ticks)
        self._last = max(min(self._due - self._delay, last + 2 * duration - 1), last + 1)
        return self._last, self._duration

    def _interval(self) -> int:
        """Return the median interval of recent pictures in the order of presentation."""
        shown = sorted(self._shown)
        steps = sorted(later - earlier for earlier, later in pairwise(shown))
        steps = [step for step in steps if step > 0]
        return steps[len(steps) // 2] if steps else self._duration
