"""Turns a stream's time stamps, which may be missing, repeat or jump, into times that only increase."""

from __future__ import annotations

from framelane.sources.timing.recent_minimum import RecentMinimum

_DEFAULT_INTERVAL_S = 1 / 25
_MOST_STEP_BACK_S = 0.5
_MOST_LEAD_S, _MOST_LEAD_INTERVALS = 0.25, 1.5
"""How much sooner after its time stamp a picture may come than any recent one did.

Beyond both it has jumped.
"""
_LEAD_SPAN_S = 10.0
_MOST_INTERVAL_S = 1.0


class Timeline:
    """Presentation times in seconds: strictly increasing, continued over jumps, filled in where missing.

    A camera that sets its clock, a time stamp that wraps and a file that loops look alike here: a jump, after
    which time continues. One picture is not a jump. If the next time stamp follows those from before, only
    the odd one was wrong, and no other is moved.

    A jump back shows by itself. A jump ahead looks like a gap in the stream, and counts as one unless the
    arrivals show that no time has passed.
    """

    def __init__(self, interval_s: float | None = None) -> None:
        self._interval_s = interval_s or _DEFAULT_INTERVAL_S
        self._offset_s = 0.0
        self._jump_offset_s: float | None = None
        """The offset that would apply if the last picture's jump lasted; None if it made none."""
        self._last_s: float | None = None
        self._last_arrived_s: float | None = None
        self._delays = RecentMinimum(_LEAD_SPAN_S)
        self._restarted = False

    def place(self, pts_s: float | None, arrived_s: float | None = None) -> float:
        """Return the next frame's time.

        Args:
            pts_s: its own time stamp, if it has one.
            arrived_s: monotonic time of its arrival; None for a recording.
        """
        at_s = self._from(pts_s, arrived_s)
        self._last_s, self._last_arrived_s = at_s, arrived_s
        return at_s

    def restart(self) -> None:
        """Note that the source starts again from its beginning.

        The next time stamp follows one interval later.
        """
        self._restarted = True

    def _from(self, pts_s: float | None, arrived_s: float | None) -> float:
        last_s = self._last_s
        if last_s is None:
            at_s = pts_s or 0.0
            self._note_delay(at_s, arrived_s)
            return at_s
        if pts_s is None:
            return last_s + self._interval_s
        if self._restarted:
            return self._restart_at(pts_s, last_s + self._interval_s)
        at_s = pts_s + self._offset_s
        if self._jumps(at_s, last_s, arrived_s):
            at_s = self._after_jump(pts_s, last_s, arrived_s)
        else:
            self._jump_offset_s = None
            self._note_delay(at_s, arrived_s)
        if at_s <= last_s:
            return last_s + self._interval_s / 1000
        self._interval_s += (min(at_s - last_s, _MOST_INTERVAL_S) - self._interval_s) / 8
        return at_s

    def _restart_at(self, pts_s: float, next_s: float) -> float:
        self._restarted, self._jump_offset_s = False, None
        self._offset_s = next_s - pts_s
        return next_s

    def _jumps(self, at_s: float, last_s: float, arrived_s: float | None) -> bool:
        if at_s < last_s - _MOST_STEP_BACK_S:
            return True
        if arrived_s is None or not self._delays:
            return False
        most_lead_s = max(_MOST_LEAD_S, _MOST_LEAD_INTERVALS * self._interval_s)
        return arrived_s - at_s < self._delays.value - most_lead_s

    def _after_jump(self, pts_s: float, last_s: float, arrived_s: float | None) -> float:
        if self._jump_offset_s is not None:
            at_s = pts_s + self._jump_offset_s
            if not self._jumps(at_s, last_s, arrived_s):
                self._offset_s, self._jump_offset_s = self._jump_offset_s, None
                self._note_delay(at_s, arrived_s)
                return at_s
        at_s = last_s + self._step(arrived_s)
        self._jump_offset_s = at_s - pts_s
        return at_s

    def _step(self, arrived_s: float | None) -> float:
        """Return how far time advances if the time stamp does not tell."""
        if arrived_s is None or self._last_arrived_s is None:
            return self._interval_s
        return max(arrived_s - self._last_arrived_s, self._interval_s / 1000)

    def _note_delay(self, at_s: float, arrived_s: float | None) -> None:
        if arrived_s is not None:
            self._delays.add(arrived_s - at_s, arrived_s)
