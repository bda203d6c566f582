"""Decides when frames are due: limits frames per second, and plays files at their own speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.sources.timing.arrival_clock import arrival_now
from framelane.sources.timing.timeline import Timeline

if TYPE_CHECKING:
    import threading

    from framelane.core.clock import Clock
    from framelane.sources.interfaces.units import Unit

_MOST_LAG_S = 0.25
_MOST_LEAD_S = 1.0
_SAME_STEP = 1.5
_MOST_SLOW_LEAD_S = 60.0
_CATCHING_UP = 0.05
"""How much faster a stream is shown if too much of it waits.

The effect is invisible, and no clock is that wrong.
"""


class FrameRateLimit:
    """Passes at most `fps` frames per second of the stream's own time, evenly; None passes all."""

    def __init__(self, fps: float | None) -> None:
        self._interval_s = 1 / fps if fps else 0.0
        self._due_s: float | None = None

    def due(self, pts_s: float) -> bool:
        """Return whether the frame at this time is wanted."""
        if not self._interval_s:
            return True
        if self._due_s is None or pts_s > self._due_s + self._interval_s:
            # The first frame, or one after a gap: start the grid again.
            self._due_s = pts_s
        # Cameras jitter by milliseconds, so a frame that is a little early still takes its place on the grid.
        if pts_s < self._due_s - self._interval_s * 0.1:
            return False
        self._due_s += self._interval_s
        return True


class RealtimePacer:
    """Holds frames back until they are due if they come early, as those of files and HLS do.

    A frame that is due long after the previous one follows a gap or a jump of the time stamps. Waiting for it
    has no use, so it is due now. Slow streams, whose frames are all that far apart, keep their pace.
    """

    def __init__(self, clock: Clock, stopping: threading.Event) -> None:
        self._clock = clock
        self._stopping = stopping
        self._start_s: float | None = None
        self._last_s = 0.0
        self._step_s = 0.0

    def wait(self, pts_s: float) -> None:
        """Return when the frame at this time is due, or when the stream is stopped."""
        now_s = self._clock.monotonic()
        if self._start_s is None:
            self._start_s, self._last_s = now_s - pts_s, pts_s
        early_s = self._start_s + pts_s - now_s
        if early_s > self._most_lead_s() or early_s < -_MOST_LAG_S:
            # After a gap, or a suspended or slow host, continue from here without catching up.
            self._start_s = now_s - pts_s
        elif early_s > 0:
            self._stopping.wait(early_s)
        self._step_s, self._last_s = pts_s - self._last_s, pts_s

    def gain(self) -> None:
        """Show the next frame a little early."""
        if self._start_s is not None:
            self._start_s -= _CATCHING_UP * max(self._step_s, 0.0)

    def _most_lead_s(self) -> float:
        return max(_MOST_LEAD_S, min(_SAME_STEP * self._step_s, _MOST_SLOW_LEAD_S))


class PiecePacer:
    """Holds back units of a live stream that comes in segments until they are due."""

    def __init__(self, clock: Clock, stopping: threading.Event) -> None:
        self._clock = clock
        self._pacer = RealtimePacer(clock, stopping)
        self._timeline = Timeline()

    def restarted(self) -> None:
        """Start again after a discontinuity, where time stamps may begin anywhere."""
        self._timeline.restart()

    def hold(self, unit: Unit, *, behind: bool) -> Unit:
        """Return the unit when it is due, which also becomes its arrival.

        `behind` says that too much waits.
        """
        packet, arrival = unit.packet, unit.arrival
        at = packet.pts if packet.dts is None else packet.dts
        if behind:
            self._pacer.gain()
        self._pacer.wait(self._timeline.place(None if at is None else float(at * packet.time_base)))
        now = arrival_now(self._clock)
        if arrival is not None and arrival.clock == "playlist":
            now = now._replace(captured_at=arrival.captured_at, clock=arrival.clock)
        return unit._replace(arrival=now)
