"""Gives a stream's frames times that only increase, whatever its clocks do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framelane.core.frames import ClockName, FrameInfo

_MOST_APART_S = 10.0
"""Seconds by which a camera's clock may run ahead of or behind ours between two frames; beyond that it was set."""


class FrameClock:
    """Times of one stream's frames, in seconds from the first.

    Files go by their time stamps and cameras by their own clock, if it is trusted; other frames by when this host had
    them, on its monotonic clock. Where the clock changes or is set, the time that passed here fills the gap.
    """

    def __init__(self) -> None:
        self._at_s = 0.0
        self._clock: ClockName | None = None
        self._read_s = 0.0
        self._received_s = 0.0

    def at(self, frame: FrameInfo) -> float:
        """Return the time of the next frame."""
        read_s = _reading(frame)
        passed_s = frame.received_s - self._received_s
        step_s = read_s - self._read_s if frame.clock == self._clock else passed_s
        if frame.clock != "media" and abs(step_s - passed_s) > _MOST_APART_S:
            step_s = passed_s
        if self._clock is not None:
            self._at_s += max(step_s, 0.0)
        self._clock, self._read_s, self._received_s = frame.clock, read_s, frame.received_s
        return self._at_s


def _reading(frame: FrameInfo) -> float:
    if frame.clock == "media":
        return frame.pts_s
    return frame.received_s if frame.clock == "receive" else frame.captured_at
