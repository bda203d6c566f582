"""Places a stream's pictures and boxes on one time line, across reconnects and jumps of its clock."""

from __future__ import annotations

from typing import NamedTuple

from framelane.live.mp4.init_segment import TICKS_PER_S

FIRST_TICKS = TICKS_PER_S
"""Media time of the first picture: late enough that no decoding time is negative."""
_MOST_STEP_BACK = TICKS_PER_S
_MOST_STEP = 10 * TICKS_PER_S
_LEAST_STEP = TICKS_PER_S // 1000
_REMEMBERED = 1024
"""Pictures whose media time is known: 10 s at 100 per second, longer than any result takes."""


class Placed(NamedTuple):
    """A picture's media time in ticks, and whether it begins a new part of the time line."""

    ticks: int
    breaks: bool


class MediaTime:
    """Gives pictures their media time, and finds that of a result by its picture's own time stamp.

    At a new connection, or a jump of the camera's time stamps, it goes on by the time that has passed.
    """

    def __init__(self) -> None:
        self._origin: object = None
        self._offset = 0
        self._newest_stamp = 0
        self._newest = FIRST_TICKS
        self._arrived_s = 0.0
        self._known: dict[int, int] = {}

    def unit(self, origin: object, pts_s: float, arrived_s: float) -> Placed:
        """Place a picture.

        Args:
            origin: its connection.
            pts_s: its own time stamp in seconds.
            arrived_s: monotonic time at which it came.
        """
        stamp = _ticks(pts_s)
        step = stamp - self._newest_stamp
        breaks = origin is not self._origin or not -_MOST_STEP_BACK <= step <= _MOST_STEP
        if breaks:
            passed = 0 if self._origin is None else max(_ticks(arrived_s - self._arrived_s), _LEAST_STEP)
            self._origin = origin
            self._offset = self._newest + passed - stamp
            self._newest_stamp = stamp
            self._known.clear()
        ticks = stamp + self._offset
        if ticks >= self._newest:
            self._newest, self._newest_stamp, self._arrived_s = ticks, stamp, arrived_s
        self._known[stamp] = ticks
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return Placed(ticks, breaks)

    def frame(self, pts_s: float | None) -> int | None:
        """Return the media time of the picture with this time stamp; None if it is not known."""
        return None if pts_s is None else self._known.get(_ticks(pts_s))


def _ticks(seconds: float) -> int:
    return round(seconds * TICKS_PER_S)
