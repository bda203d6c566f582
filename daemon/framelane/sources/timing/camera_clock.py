"""Judges a camera's clock by its RTCP sender reports."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from framelane.sources.timing.recent_minimum import RecentMinimum

if TYPE_CHECKING:
    from framelane.config.sections.stream import ClockChoice

MOST_CLOCK_ERROR_S = 10.0
"""With `clock: auto`, a camera's clock further than this from ours is not trusted: it was never set."""
_BELIEVED_AGAIN_S = 8.0
"""An untrusted clock has to come this close. Otherwise a clock near the limit would be trusted on and off."""
_LEAST_BETWEEN_CHANGES_S = 60.0

_RECENT_S = 1.0
_WINDOW_S = 10.0
_STEADY_WINDOWS = 3
_STEADY_S = 0.02
_MOST_MOVE_S = 0.1
_MOST_STEP_S = 1.0


class CameraClock:
    """Takes one connection's capture times from the camera's clock while it keeps step with the pictures.

    The difference between a camera's clock and ours includes both errors and the transit time. The smallest
    difference belongs to a picture without delay and is the one to use. A larger one of a single late picture
    only shows its delay. Trust in a camera's clock changes at most once per minute.

    If the smallest difference moves while pictures arrive evenly, the reports drift: RTSP relays write their
    own reports and correct them in jumps. Captures then follow the arrivals until the difference is steady
    again.

    Args:
        wanted: the stream's `clock`; "rtcp" always trusts the camera.
    """

    def __init__(self, wanted: ClockChoice) -> None:
        self._wanted = wanted
        self._recent = RecentMinimum(_RECENT_S)
        self._believed_s: float | None = None
        self._steady_s = 0.0
        """The difference when it was last known to be steady, or at first."""
        self._last: tuple[float, float] | None = None
        self._odd: tuple[float, float] | None = None
        """The last picture, if its time does not follow from the previous one."""
        self._sane: bool | None = None
        self._sane_changed_s = float("-inf")
        self._window_s: float | None = None
        self._window_began_s = 0.0
        self._windows: deque[float] = deque(maxlen=_STEADY_WINDOWS)
        self._follows = False

    @property
    def offset_s(self) -> float | None:
        """How far the camera's clock is ahead of ours in seconds, less the transit time.

        None before its first report.
        """
        return None if self._believed_s is None else -self._believed_s

    def captured_at(
        self, camera_s: float, arrived_at: float, now_s: float, *, stamps_right: bool = True
    ) -> float | None:
        """Return the Unix time of a picture's capture; None if the camera's clock is not trusted.

        Args:
            camera_s: Unix time of the capture by the camera's clock.
            arrived_at: Unix time at which the picture arrived.
            now_s: monotonic time of the arrival.
            stamps_right: whether the stream's time stamps agree with our clock; if not, `camera_s` is wrong
                too.
        """
        last = self._last
        if last is not None and _jumps(last, camera_s, now_s):
            camera_s = self._after_jump(last, camera_s, now_s)
        else:
            self._last, self._odd = (camera_s, now_s), None
        behind_s = arrived_at - camera_s
        recent_s = self._recent.add(behind_s, now_s)
        believed_s = self._learn(behind_s, now_s)
        if self._wanted == "receive":
            return None
        asked_for = self._wanted == "rtcp"
        if not self._is_sane(0.0 if asked_for else believed_s, now_s, stamps_right=stamps_right):
            return None
        if asked_for:
            return camera_s
        # A smaller value than known is a faster transit. But one that falls below 0 shows that the clock has
        # moved.
        moved_s = max(recent_s - believed_s, min(self._steady_s, 0.0) - recent_s)
        self._follows |= moved_s > _MOST_MOVE_S
        return camera_s + recent_s - max(believed_s, 0.0) if self._follows else camera_s

    def _is_sane(self, believed_s: float, now_s: float, *, stamps_right: bool) -> bool:
        """Return whether the camera's clock is trusted at all."""
        limit_s = _BELIEVED_AGAIN_S if self._sane is False else MOST_CLOCK_ERROR_S
        sane = stamps_right and abs(believed_s) <= limit_s
        if self._sane is None:
            self._sane = sane
        elif sane != self._sane and now_s - self._sane_changed_s >= _LEAST_BETWEEN_CHANGES_S:
            self._sane, self._sane_changed_s = sane, now_s
        return self._sane

    def _after_jump(self, last: tuple[float, float], camera_s: float, now_s: float) -> float:
        """Return the capture by the camera's clock, without the error of a single odd time stamp.

        The camera's clock was set only if the next picture follows from the odd one.
        """
        odd = self._odd
        if odd is None or _jumps(odd, camera_s, now_s):
            self._odd = camera_s, now_s
            return last[0] + now_s - last[1]
        self._recent = RecentMinimum(_RECENT_S)
        self._follows = True
        self._last, self._odd = (camera_s, now_s), None
        return camera_s

    def _learn(self, behind_s: float, now_s: float) -> float:
        """Update and return the difference to use."""
        if self._window_s is None:
            self._window_s, self._window_began_s = behind_s, now_s
        elif behind_s < self._window_s:
            self._window_s = behind_s
        if self._believed_s is None:
            self._believed_s = self._steady_s = behind_s
        # Still in the first window.
        if not self._windows:
            self._believed_s = self._window_s
        if now_s - self._window_began_s >= _WINDOW_S:
            self._windows.append(self._window_s)
            self._window_s = None
            if len(self._windows) == _STEADY_WINDOWS and max(self._windows) - min(self._windows) <= _STEADY_S:
                self._believed_s = self._steady_s = min(self._windows)
                self._follows = False
        return self._believed_s


def _jumps(last: tuple[float, float], camera_s: float, now_s: float) -> bool:
    """Return whether a capture by the camera's clock does not follow from `last` (with its monotonic time)."""
    return not -_MOST_STEP_S < camera_s - last[0] < now_s - last[1] + _MOST_STEP_S
