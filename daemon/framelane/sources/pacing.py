"""Which frames are due: a limit on frames a second, and files played at their own speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

    from framelane.core.clock import Clock

_MOST_LAG_S = 0.25


class FrameRateLimit:
    """Lets through at most `fps` frames a second of the stream's own time, evenly; None lets all through."""

    def __init__(self, fps: float | None) -> None:
        self._interval_s = 1 / fps if fps else 0.0
        self._due_s: float | None = None

    def due(self, pts_s: float) -> bool:
        """Whether the frame at this time is wanted."""
        if not self._interval_s:
            return True
        if self._due_s is None or pts_s > self._due_s + self._interval_s:
            self._due_s = pts_s  # first frame, or after a gap: start the grid anew
        # Cameras jitter by milliseconds: a frame a little early still fills its place on the grid.
        if pts_s < self._due_s - self._interval_s * 0.1:
            return False
        self._due_s += self._interval_s
        return True


class RealtimePacer:
    """Holds frames back until their time has come, where they are there before: a file's, those of HLS."""

    def __init__(self, clock: Clock, stopping: threading.Event) -> None:
        self._clock = clock
        self._stopping = stopping
        self._start_s: float | None = None

    def wait(self, pts_s: float) -> None:
        """Return when the frame at this time is due, or when the stream is stopped."""
        now_s = self._clock.monotonic()
        if self._start_s is None:
            self._start_s = now_s - pts_s
        early_s = self._start_s + pts_s - now_s
        if early_s > 0:
            self._stopping.wait(early_s)
        elif early_s < -_MOST_LAG_S:
            # The host was suspended or too slow: go on from here rather than race to catch up.
            self._start_s = now_s - pts_s
