"""Computes when a live picture arrived and was captured, with imperfect clocks and time stamps.

A picture may have waited in the kernel, the camera or an RTSP relay before it is read, for example after a
pause in reading or on a slow host. Two observations show how long:

- A connection on which no data waits is drained: the last picture read has just come.
- The advance of the stream's time stamps is compared with the time that passes here. The smallest recent
  difference belongs to a picture that was not delayed.

Time stamps may be wrong, so they count only after they have kept time with our clock for a few seconds. A
delay in the network is not a delay of this host: such a picture is as old as its time stamp says, but it has
arrived only now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from framelane.sources.timing.camera_clock import CameraClock
from framelane.sources.timing.recent_minimum import RecentMinimum
from framelane.sources.timing.stamp_rate import StampRate

if TYPE_CHECKING:
    from framelane.config.sections.stream import ClockChoice
    from framelane.core.clock import Clock
    from framelane.core.frames import ClockName

_FLOOR_S = 2.0
_MOST_STEP_S = 1.0
"""Most seconds that time stamps may step back, or ahead of the time that has passed.

Beyond that they have jumped.
"""
_PROOF_S = 3.0
_FAILURES = 2
_MOST_RATE_ERROR = 0.1
_HOLD_UP_S, _AFTER_HOLD_UP_S = 0.5, 1.0
_BEHIND_S, _CAUGHT_UP_S = 0.2, 0.1


class Arrival(NamedTuple):
    """When a picture came, and when it was taken.

    Attributes:
        at_s: monotonic time at which it reached this host, in seconds; earlier than the read if it had to
            wait.
        captured_at: Unix time of its capture in seconds, as far as `clock` can tell.
        clock: the source of `captured_at`: "rtcp", "playlist" or "receive".
    """

    at_s: float
    captured_at: float
    clock: ClockName


def arrival_now(clock: Clock) -> Arrival:
    """Return the current time as the arrival of a picture that waited here until it was due."""
    return Arrival(clock.monotonic(), clock.wall(), "receive")


class ArrivalClock:
    """Computes arrival and capture of one connection's pictures, in the order in which they are read.

    Args:
        clock: this host's clock.
        wanted: the stream's `clock`.
        began_s: monotonic time at which opening began; no data came before.
    """

    def __init__(self, clock: Clock, wanted: ClockChoice, began_s: float) -> None:
        self._clock = clock
        self._stamps = _Stamps(began_s)
        self._rate = StampRate()
        self._camera = CameraClock(wanted)

    def note(self, pts_s: float | None, read_s: float, camera_s: float | None, *, drained: bool) -> Arrival:
        """Return the arrival of the picture that was read last.

        Args:
            pts_s: its time stamp in seconds.
            read_s: monotonic time at which its first packet was read.
            camera_s: Unix time of its capture by the camera's RTCP sender reports; None without reports.
            drained: whether no data waited on the connection after its last packet.
        """
        at_s, due_s = self._stamps.times_of(pts_s, read_s, drained=drained)
        if pts_s is not None:
            self._rate.note(pts_s, read_s)
        unix_s = self._clock.wall() - self._clock.monotonic()
        if camera_s is not None:
            came_s = at_s if self._stamps.ever_drained else read_s
            right = not self._stamps.wrong
            captured_at = self._camera.captured_at(camera_s, unix_s + came_s, came_s, stamps_right=right)
            if captured_at is not None:
                return Arrival(at_s, captured_at, "rtcp")
        return Arrival(at_s, unix_s + due_s, "receive")

    @property
    def stamp_trouble(self) -> str:
        """What is wrong with the time stamps, in words; empty while they agree with our clock."""
        return self._rate.trouble

    @property
    def camera_offset_s(self) -> float | None:
        """How far the camera's clock is ahead of ours in seconds, less the transit time.

        None without its reports.
        """
        return self._camera.offset_s


class _Stamps:
    """Estimates how long pictures have waited, from the stream's time stamps and from drained connections."""

    def __init__(self, began_s: float) -> None:
        # Failed proofs in a row.
        self._failures = 0
        self._drained_s = began_s
        self.ever_drained = False
        """Whether the arrival of any picture is known."""
        self.wrong = False
        """Whether the time stamps have failed to keep our time.

        A single failure may be a hiccup of this host.
        """
        self._behind = False
        self._last: tuple[float, float] | None = None
        self._forget()

    def times_of(self, pts_s: float | None, read_s: float, *, drained: bool) -> tuple[float, float]:
        """Return when a picture read at `read_s` came, and when it would have come without delay.

        Both are monotonic times. They differ if the network, or an RTSP relay, delayed the picture.
        """
        at_s = due_s = read_s if drained else self._drained_s
        self.ever_drained |= drained
        if pts_s is None:
            at_s = due_s = read_s
        elif not self.ever_drained:
            # How long the first pictures have waited is unknown, but it is no longer than opening took.
            self._note(pts_s, read_s, drained=False)
        else:
            self._note(pts_s, read_s, drained=drained)
            unhindered_s = min(pts_s + self._floor.value, read_s)
            due_s = unhindered_s if self._trusted else max(at_s, unhindered_s)
            # While we were behind, the sender may have waited for us, and may hold more data than has come.
            behind_s = read_s - due_s
            self._behind = behind_s > (_CAUGHT_UP_S if self._behind else _BEHIND_S) and (
                self._behind or not drained
            )
            at_s = due_s if self._behind or not drained else read_s
        if drained:
            self._drained_s = read_s
        return at_s, due_s

    def _note(self, pts_s: float, read_s: float, *, drained: bool) -> None:
        if self._last is not None:
            step_s, passed_s = pts_s - self._last[0], read_s - self._last[1]
            if not -_MOST_STEP_S < step_s < passed_s + _MOST_STEP_S:
                self._forget()
            elif passed_s - step_s > _HOLD_UP_S:
                self._held_up_s = read_s
        self._last = pts_s, read_s
        if drained or not self._floor:
            self._floor.add(read_s - pts_s, read_s)
            if self._proof is None or read_s - self._proof[1] >= self._proof_s:
                self._prove(pts_s, read_s)
        else:
            self._floor.lower(read_s - pts_s)

    def _forget(self) -> None:
        """Forget what is known, because the time stamps have jumped or none have come yet."""
        self._floor = RecentMinimum(_FLOOR_S)
        self._proof: tuple[float, float] | None = None
        self._proof_s = _PROOF_S
        self._held_up_s = -_AFTER_HOLD_UP_S
        self._trusted = False

    def _prove(self, pts_s: float, read_s: float) -> None:
        """Compare time stamps with our time. Not just after a pause, because they recover in a moment.

        After a first failure, the comparison goes on from the same picture. A delay of this host at either end
        weighs half as much then, but wrong time stamps fail again.
        """
        if self._proof is None:
            self._proof = pts_s, read_s
            return
        if read_s - self._held_up_s > _AFTER_HOLD_UP_S:
            rate = (pts_s - self._proof[0]) / (read_s - self._proof[1])
            self._trusted = abs(rate - 1) <= _MOST_RATE_ERROR
            self._failures = 0 if self._trusted else self._failures + 1
            self.wrong = self._failures >= _FAILURES
            if self._trusted or self.wrong:
                self._proof, self._proof_s = (pts_s, read_s), _PROOF_S
            else:
                self._proof_s = 2 * _PROOF_S
