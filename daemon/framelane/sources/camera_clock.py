"""What a camera's own clock is worth, as its RTCP sender reports tell it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from framelane.sources.floor import RecentFloor

if TYPE_CHECKING:
    from framelane.config.schema import ClockChoice

MOST_CLOCK_ERROR_S = 10.0
"""A camera's clock further than this from ours is not believed with `clock: auto`: it was never set."""

_RECENT_S = 1.0
_WINDOW_S = 10.0
_STEADY_WINDOWS = 3
_STEADY_S = 0.02
_MOST_MOVE_S = 0.1
_MOST_STEP_S = 1.0


class CameraClock:
    """Capture times of one connection by the camera's clock, for as long as it keeps step with the pictures.

    Between a camera's clock and ours lie the error of both and the way of the picture. The smallest difference seen is
    that of a picture without delay, and the one to believe; that of a single late picture only says how late it is.
    Where the smallest difference moves while pictures arrive evenly, it is the reports that drift: relays make their
    own, and correct them by jumps. Then captures follow the arrivals, until the difference has been steady again.

    Args:
        wanted: the stream's `clock`; "rtcp" believes the camera whatever it says.
    """

    def __init__(self, wanted: ClockChoice) -> None:
        self._wanted = wanted
        self._recent = RecentFloor(_RECENT_S)
        self._believed_s: float | None = None
        self._steady_s = 0.0
        """Where the difference was when it was last known to be steady, or at first."""
        self._last: tuple[float, float] | None = None
        self._window_s: float | None = None
        self._window_began_s = 0.0
        self._windows: deque[float] = deque(maxlen=_STEADY_WINDOWS)
        self._follows = False

    @property
    def offset_s(self) -> float | None:
        """By how much the camera's clock is ahead of ours, less the way here; None before its first report."""
        return None if self._believed_s is None else -self._believed_s

    def captured_at(self, camera_s: float, arrived_at: float, now_s: float) -> float | None:
        """Unix time of a picture's capture; None where the camera's clock is not to be believed.

        Args:
            camera_s: Unix time of the capture by the camera's clock.
            arrived_at: Unix time at which the picture arrived.
            now_s: monotonic time of the same.
        """
        behind_s = arrived_at - camera_s
        if self._jumped(camera_s, now_s):
            self._recent = RecentFloor(_RECENT_S)
            self._follows = True
        recent_s = self._recent.add(behind_s, now_s)
        believed_s = self._learn(behind_s, now_s)
        if self._wanted == "receive":
            return None
        if self._wanted == "rtcp":
            return camera_s
        if abs(believed_s) > MOST_CLOCK_ERROR_S:
            return None
        # Smaller than known is good news of the way. But not below 0, where it was above: then the clock has moved.
        moved_s = max(recent_s - believed_s, min(self._steady_s, 0.0) - recent_s)
        self._follows |= moved_s > _MOST_MOVE_S
        return camera_s + recent_s - max(believed_s, 0.0) if self._follows else camera_s

    def _jumped(self, camera_s: float, now_s: float) -> bool:
        """Whether the camera's clock has been set since the last picture."""
        last, self._last = self._last, (camera_s, now_s)
        if last is None:
            return False
        return not -_MOST_STEP_S < camera_s - last[0] < now_s - last[1] + _MOST_STEP_S

    def _learn(self, behind_s: float, now_s: float) -> float:
        """The difference to believe."""
        if self._window_s is None:
            self._window_s, self._window_began_s = behind_s, now_s
        self._window_s = min(self._window_s, behind_s)
        if self._believed_s is None:
            self._believed_s = self._steady_s = behind_s
        if not self._windows:  # still in the first
            self._believed_s = self._window_s
        if now_s - self._window_began_s >= _WINDOW_S:
            self._windows.append(self._window_s)
            self._window_s = None
            if len(self._windows) == _STEADY_WINDOWS and max(self._windows) - min(self._windows) <= _STEADY_S:
                self._believed_s = self._steady_s = min(self._windows)
                self._follows = False
        return self._believed_s
