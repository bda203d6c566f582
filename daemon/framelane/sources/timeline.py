"""From a stream's time stamps, which may lack, repeat or jump back, to times that only go forward."""

from __future__ import annotations

_DEFAULT_INTERVAL_S = 1 / 25
_SMALL_STEP_BACK_S = 0.5
_MOST_INTERVAL_S = 1.0


class Timeline:
    """Presentation times in seconds: strictly increasing, continued over jumps back, filled in where they lack.

    A camera that restarts its clock, a time stamp that wraps and a file that loops look the same here: a jump back,
    after which time goes on one frame interval later. A jump ahead is a gap in the stream, and stays one.
    """

    def __init__(self, interval_s: float | None = None) -> None:
        self._interval_s = interval_s or _DEFAULT_INTERVAL_S
        self._offset_s = 0.0
        self._last_s: float | None = None
        self._restarted = False

    def place(self, pts_s: float | None) -> float:
        """The next frame's time, from its own time stamp if it has one."""
        at_s = self._from(pts_s)
        self._last_s = at_s
        return at_s

    def restart(self) -> None:
        """The source starts again from its beginning: the next time stamp follows one interval on."""
        self._restarted = True

    def _from(self, pts_s: float | None) -> float:
        last_s = self._last_s
        if last_s is None:
            return pts_s or 0.0
        next_s = last_s + self._interval_s
        if pts_s is None:
            return next_s
        at_s = pts_s + self._offset_s
        if self._restarted or at_s < last_s - _SMALL_STEP_BACK_S:
            self._restarted = False
            self._offset_s += next_s - at_s
            return next_s
        if at_s <= last_s:
            return last_s + self._interval_s / 1000
        self._interval_s += (min(at_s - last_s, _MOST_INTERVAL_S) - self._interval_s) / 8
        return at_s
