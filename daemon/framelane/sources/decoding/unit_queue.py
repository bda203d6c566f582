"""Queues a live stream's units between reading and decoding, and skips units to stay on time."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

from framelane.sources.decoding.skip_policy import Level

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.core.drop_reasons import DropReason
    from framelane.sources.decoding.skip_policy import SkipPolicy
    from framelane.sources.interfaces.units import Unit

_TOLD_S = 5.0
"""Seconds for which a stream counts as late or damaged after a picture was skipped."""
_MOST_DAMAGE_S = 10.0
"""Seconds for which pictures are skipped after a damaged one without a key frame.

Then all are decoded again.
"""
_TEXTS = {
    Level.ALL: "pictures are skipped to stay on time",
    Level.REFERENCES: "pictures that no other needs are not decoded, to stay on time",
    Level.KEYS: "only key frames are decoded, to stay on time",
}
_WHY = "more comes in than this host decodes"
_AWAITS = "pictures are skipped up to the next key frame; shorten the camera's GOP if this takes long"
_DAMAGED = "pictures are damaged or missing; look for packet loss"
_SMEARED = (
    "pictures may be smeared: no key frame has come for 10 s after a damaged one; shorten the camera's GOP"
)
_MOST_LEADING = 16


class Hindrance(NamedTuple):
    """Why pictures give no frames, or damaged ones: a reason and a text, both empty if all is well."""

    reason: Literal["", "late", "damaged", "undecodable"] = ""
    text: str = ""


class UnitQueue:
    """The access units of one live stream that wait to be decoded. One thread puts; one at a time takes.

    A unit that has waited for longer than `late_s` since its arrival is skipped, with all that follow up to
    the next key frame that is on time, because pictures between key frames depend on one another. So the age
    of the queue, and with it its memory, is bounded, whatever happens at the decoder.

    Units after a damaged one are skipped in the same way. If no key frame comes for 10 s, all units are
    decoded again.

    Args:
        late_s: how long a unit may wait, in seconds.
        skip_policy: chooses what to decode when capacity is short.
        clock: the source of time.
        skipped: called with the reason, "late" or "damaged", and the number of skipped units.
        resumes: whether the first unit has to be a key frame; units before it are ignored and not counted.
        keep_damaged: whether damaged units, and those that depend on them, are decoded like all others.
    """

    def __init__(
        self,
        late_s: float,
        skip_policy: SkipPolicy,
        clock: Clock,
        skipped: Callable[[DropReason, int], None],
        *,
        resumes: bool = False,
        keep_damaged: bool = False,
    ) -> None:
        self._late_s = late_s
        self._skip_policy = skip_policy
        self._clock = clock
        self._skipped = skipped
        self._lock = threading.Lock()
        self._units: deque[Unit] = deque()
        self._gap = resumes
        self._gap_s = clock.monotonic()
        # Why there is a gap; empty at the beginning of the stream.
        self._why: Literal["", "late", "damaged"] = ""
        self._chosen = False
        """Whether the gap exists only because few pictures are wanted."""
        self._keep_damaged = keep_damaged
        self._begun = False
        self._smeared = False
        self._recovering = 0
        self._resumed_pts: int | None = None
        self._leading = 0
        self._late_until_s = self._damaged_until_s = 0.0

    def put(self, unit: Unit) -> bool:
        """Queue a unit that has just been read, and return whether a unit waits."""
        now_s = self._clock.monotonic()
        with self._lock:
            wanted = self._skip_policy.wants(unit, now_s)
            self._end_long_gap(now_s)
            # Most connections begin in the middle of a picture, which is not a loss.
            self._gap |= not (self._begun or unit.whole)
            if self._leads(unit) or (self._gap and not unit.key):
                if self._why:
                    self._skipped(self._why, 1)
                return False
            damaged = not unit.whole and not self._keep_damaged and not self._smeared
            if not wanted or damaged:
                why: Literal["late", "damaged"] = "damaged" if damaged else "late"
                if damaged:
                    self._damaged_until_s = now_s + _TOLD_S
                # Skipping a disposable picture leaves no gap.
                if not unit.disposable:
                    self._open_gap(why, now_s)
                    self._chosen = not damaged
                self._skipped(why, 1)
                return False
            self._append(unit, self._why or "late" if self._gap else "")
            self._gap = False
            self._skip_late(now_s)
            return bool(self._units)

    def break_off(self) -> None:
        """Skip waiting units up to the next key frame, because the last unit taken was damaged."""
        now_s = self._clock.monotonic()
        with self._lock:
            if self._keep_damaged or self._smeared:
                return
            self._damaged_until_s = now_s + _TOLD_S
            self._cut("damaged", now_s)

    def take(self) -> Unit | None:
        """Return the next unit that is still on time; None if none waits."""
        with self._lock:
            self._skip_late(self._clock.monotonic())
            return self._units.popleft() if self._units else None

    def limit(self, fps: float | None) -> None:
        """Set another `fps` limit for the skip policy, from the next unit on."""
        with self._lock:
            self._skip_policy.limit(fps)

    def __len__(self) -> int:
        return len(self._units)

    def hindrance(self, now_s: float) -> Hindrance:
        """Return what is currently not decoded, or not correctly, and why."""
        level = self._skip_policy.level
        if self._smeared:
            return Hindrance("damaged", _SMEARED)
        if level or now_s < self._late_until_s:
            return Hindrance("late", f"{_TEXTS[level]}: {_WHY}")
        if now_s < self._damaged_until_s:
            return Hindrance("damaged", _DAMAGED)
        if self._gap and self._why:
            return Hindrance(self._why, f"{_DAMAGED}; {_AWAITS}" if self._why == "damaged" else _AWAITS)
        return Hindrance()

    @property
    def starves(self) -> bool:
        """Whether units that should be decoded are skipped up to a key frame."""
        return self._gap and bool(self._why) and not self._chosen

    def awaits_key_s(self, now_s: float) -> float:
        """Return for how many seconds all units have been skipped up to a key frame; 0 if none are."""
        return now_s - self._gap_s if self._gap else 0.0

    def _append(self, unit: Unit, gap: Literal["", "late", "damaged"]) -> None:
        """Queue a unit; `gap` is the reason of a gap before it, empty if there is none."""
        if gap:
            self._resumed_pts, self._leading = unit.packet.pts, 0
        if unit.key:
            # Without a gap before it, the image is correct already, and a recovery point repairs nothing.
            self._recovering = unit.recovery if gap or self._smeared else 0
            self._smeared = False
        shown = not self._recovering
        # A copy costs as much as the rest of this method, and few units need one.
        if gap != unit.gap or shown != unit.shown:
            unit = unit._replace(gap=gap, shown=shown)
        # A disposable picture does not advance the refresh.
        self._recovering -= bool(self._recovering and not unit.disposable)
        self._units.append(unit)
        self._begun = True

    def _open_gap(self, why: Literal["late", "damaged"], now_s: float) -> None:
        if not self._gap:
            self._gap, self._gap_s = True, now_s
        self._why, self._chosen = why, False

    def _end_long_gap(self, now_s: float) -> None:
        """Continue with damaged pictures rather than with none."""
        if self._gap and self._why == "damaged" and now_s - self._gap_s > _MOST_DAMAGE_S:
            self._gap, self._smeared = False, True

    def _skip_late(self, now_s: float) -> None:
        units = self._units
        if not units or not self._is_late(units[0], now_s):
            return
        self._cut("late", now_s)
        self._late_until_s = now_s + _TOLD_S
        self._skip_policy.late(now_s)

    def _cut(self, why: Literal["late", "damaged"], now_s: float) -> None:
        """Skip waiting units up to the first key frame that is on time, or all of them."""
        units, count = self._units, len(self._units)
        while units and (not units[0].key or self._is_late(units[0], now_s)):
            units.popleft()
        if units:
            waiting = [*units]
            units.clear()
            self._append(waiting[0], why)
            for unit in waiting[1:]:
                if not self._leads(unit):
                    self._append(unit, unit.gap)
        else:
            self._open_gap(why, now_s)
        self._skipped(why, count - len(units))

    def _leads(self, unit: Unit) -> bool:
        """Return whether a unit follows the first key frame after a gap but is shown before it.

        Such leading pictures of open GOPs refer to pictures from before the gap.
        """
        pts, key_pts = unit.packet.pts, self._resumed_pts
        if key_pts is None:
            return False
        if pts is None or pts >= key_pts or self._leading >= _MOST_LEADING:
            self._resumed_pts = None
            return False
        self._leading += 1
        return True

    def is_late(self, unit: Unit) -> bool:
        """Return whether it is too late to decode a unit."""
        return self._is_late(unit, self._clock.monotonic())

    def _is_late(self, unit: Unit, now_s: float) -> bool:
        return unit.arrival is not None and now_s - unit.arrival.at_s > self._late_s
