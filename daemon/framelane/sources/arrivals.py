"""When a live picture arrived, and when it was captured, whatever the clocks and time stamps on the way are worth.

What a thread reads may have waited in the kernel, the camera or a relay for a while: after a pause in reading, or on
a host that can't keep up. Two things tell for how long:

- A connection on which nothing more waits has been drained: what was read last has just come.
- How far a stream's time stamps have advanced, against how much time has passed here. The smallest difference seen
  lately is that of a picture that nothing has held up.

Time stamps may be wrong, so they are believed only after they have kept our time for a few seconds. What the network
holds up is no fault of this host: such a picture is as old as its time stamp says, but it has arrived only now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from framelane.sources.camera_clock import CameraClock
from framelane.sources.floor import RecentFloor

if TYPE_CHECKING:
    from framelane.config.schema import ClockChoice
    from framelane.core.clock import Clock
    from framelane.core.frames import ClockName

_FLOOR_S = 2.0
_MOST_STEP_S = 1.0
"""Of time stamps back, or ahead of the time that has passed; beyond it they have jumped."""
_PROOF_S = 3.0
_FAILURES = 2
_MOST_RATE_ERROR = 0.1
_HOLD_UP_S, _AFTER_HOLD_UP_S = 0.5, 1.0
_BEHIND_S, _CAUGHT_UP_S = 0.2, 0.1


class Arrival(NamedTuple):
    """When a picture came, and when it was taken.

    Attributes:
        at_s: monotonic time at which it reached this host, in seconds; earlier than it was read if it had to wait.
        captured_at: Unix time of its capture in seconds, as far as `clock` can tell.
        clock: what `captured_at` stands on: "rtcp" or "receive".
    """

    at_s: float
    captured_at: float
    clock: ClockName


def arrival_now(clock: Clock) -> Arrival:
    """The arrival of a picture that has waited here for its time to be shown."""
    return Arrival(clock.monotonic(), clock.wall(), "receive")


class ArrivalClock:
    """Times one connection's pictures, in the order in which they are read.

    Args:
        clock: this host's.
        wanted: the stream's `clock`.
        began_s: monotonic time at which the connection began to be opened: nothing came before.
    """

    def __init__(self, clock: Clock, wanted: ClockChoice, began_s: float) -> None:
        self._clock = clock
        self._stamps = _Stamps(began_s)
        self._camera = CameraClock(wanted)

    def note(self, pts_s: float | None, read_s: float, camera_s: float | None, *, drained: bool) -> Arrival:
        """Time the picture that was read last.

        Args:
            pts_s: its time stamp in seconds.
            read_s: monotonic time at which its first packet was read.
            camera_s: Unix time of its capture by the camera's RTCP sender reports, None without any.
            drained: whether nothing more waited on the connection after its last packet.
        """
        at_s, due_s = self._stamps.times_of(pts_s, read_s, drained=drained)
        unix_s = self._clock.wall() - self._clock.monotonic()
        if camera_s is not None and not self._stamps.wrong:
            came_s = at_s if self._stamps.ever_drained else read_s
            captured_at = self._camera.captured_at(camera_s, unix_s + came_s, came_s)
            if captured_at is not None:
                return Arrival(at_s, captured_at, "rtcp")
        return Arrival(at_s, unix_s + due_s, "receive")

    @property
    def camera_offset_s(self) -> float | None:
        """By how much the camera's clock is ahead of ours, less the way here; None where it sends no reports."""
        return self._camera.offset_s


class _Stamps:
    """What a stream's time stamps, and a connection that has been drained, say of how long its pictures have waited."""

    def __init__(self, began_s: float) -> None:
        self._failures = 0  # proofs in a row
        self._drained_s = began_s
        self.ever_drained = False
        """Whether it is known of any picture when it came."""
        self._behind = False
        self._last: tuple[float, float] | None = None
        self._forget()

    @property
    def wrong(self) -> bool:
        """Whether the time stamps have been seen not to keep our time; once may be a hiccup of this host."""
        return self._failures >= _FAILURES

    def times_of(self, pts_s: float | None, read_s: float, *, drained: bool) -> tuple[float, float]:
        """When a picture came that was read at `read_s`, and when it would have come if nothing had held it up.

        Both are monotonic times. They differ where the network, or a relay, has held it up.
        """
        at_s = due_s = read_s if drained else self._drained_s
        self.ever_drained |= drained
        if pts_s is None:
            at_s = due_s = read_s
        elif not self.ever_drained:
            # How long the first ones have waited nobody knows: while the connection was opened, at most.
            self._note(pts_s, read_s, drained=False)
        else:
            self._note(pts_s, read_s, drained=drained)
            unhindered_s = min(pts_s + self._floor.value, read_s)
            due_s = unhindered_s if self._trusted else max(at_s, unhindered_s)
            # While we were behind, the sender may have had to wait for us, and has more in store than has come.
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
            self._prove(pts_s, read_s)
        else:
            self._floor.lower(read_s - pts_s)

    def _forget(self) -> None:
        """They have jumped, or there are none yet: what was known of them is void."""
        self._floor = RecentFloor(_FLOOR_S)
        self._proof: tuple[float, float] | None = None
        self._held_up_s = -_AFTER_HOLD_UP_S
        self._trusted = False

    def _prove(self, pts_s: float, read_s: float) -> None:
        """Compare the time stamps with our time, but not just after a pause, which they make good only in a moment."""
        if self._proof is None:
            self._proof = pts_s, read_s
            return
        passed_s = read_s - self._proof[1]
        if passed_s >= _PROOF_S and read_s - self._held_up_s > _AFTER_HOLD_UP_S:
            rate = (pts_s - self._proof[0]) / passed_s
            self._trusted = abs(rate - 1) <= _MOST_RATE_ERROR
            self._failures = 0 if self._trusted else self._failures + 1
            self._proof = pts_s, read_s
