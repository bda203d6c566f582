"""Detects a stream whose time stamps do not advance as fast as its pictures arrive."""

from __future__ import annotations

_WINDOW_S = 3.0
_LEAST_PICTURES = 6
"""Per window. A single picture that the network delays must not decide."""
_WRONG, _RIGHT = 0.1, 0.07
_WINDOWS_TO_TELL, _WINDOWS_TO_FORGET = 2, 3
_JUMP_S, _JUMP_FACTOR = 1.0, 10.0
_STILL = 0.05


class StampRate:
    """Compares the advance of time stamps with the time that passes here, over windows of some seconds."""

    def __init__(self) -> None:
        self.trouble = ""
        """What is wrong with the time stamps, in words; empty while they agree with our clock."""
        self._last: tuple[float, float] | None = None
        self._advanced_s = self._passed_s = 0.0
        self._pictures = 0
        self._jumps = False
        self._wrong = 0
        """Windows in a row in which they were too fast (positive) or too slow (negative)."""
        self._right = 0

    def note(self, pts_s: float, read_s: float) -> None:
        """Take the time stamp of a picture that was read at this monotonic time."""
        last, self._last = self._last, (pts_s, read_s)
        if last is None:
            return
        step_s, passed_s = pts_s - last[0], read_s - last[1]
        self._passed_s += passed_s
        self._pictures += 1
        if abs(step_s) > _JUMP_S + _JUMP_FACTOR * passed_s:
            self._jumps = True
        else:
            self._advanced_s += step_s
        if self._passed_s >= _WINDOW_S and self._pictures >= _LEAST_PICTURES:
            self._judge(self._advanced_s / self._passed_s)
            self._advanced_s = self._passed_s = 0.0
            self._pictures, self._jumps = 0, False

    def _judge(self, rate: float) -> None:
        error = rate - 1
        self._right = self._right + 1 if abs(error) <= _RIGHT else 0
        if abs(error) <= _WRONG:
            self._wrong = 0
        else:
            sign = 1 if error > 0 else -1
            self._wrong = self._wrong + sign if self._wrong * sign >= 0 else sign
        if abs(self._wrong) >= _WINDOWS_TO_TELL:
            self.trouble = self.trouble or f"the camera's time stamps {self._how(rate)}"
        elif self._right >= _WINDOWS_TO_FORGET:
            self.trouble = ""

    def _how(self, rate: float) -> str:
        if self._jumps:
            return "jump"
        if abs(rate) < _STILL:
            return "stand still"
        return f"run at {100 * rate:.0f} % of the speed at which pictures arrive"
