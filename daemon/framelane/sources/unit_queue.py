"""What waits between the reading and the decoding of a live stream, and what of it is skipped to stay on time."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from framelane.sources.economy import Level

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.sources.economy import Economy
    from framelane.sources.units import Unit

_TOLD_S = 5.0
"""For how long a stream counts as late after a picture was skipped."""
_TEXTS = {
    Level.ALL: "pictures are skipped to stay on time",
    Level.REFERENCES: "pictures that no other needs are not decoded, to stay on time",
    Level.KEYS: "only key frames are decoded, to stay on time",
}
_WHY = "more comes in than this host decodes"
_AWAITS = "pictures are skipped up to the next key frame; shorten the camera's GOP if this takes long"
_MOST_LEADING = 16


class UnitQueue:
    """The access units of one live stream that wait to be decoded. One thread puts, one at a time takes.

    A unit that waits for longer than `late_s` since it arrived is skipped, with all that follow up to a key frame that
    is on time: pictures between two key frames build on one another. So what waits is bounded in age, and with it in
    memory, whatever happens at the decoder.

    Args:
        late_s: for how long a unit may wait.
        economy: what is worth decoding when capacity is short.
        clock: where the time is read.
        skipped: told why units are skipped, "late" or "decode", and how many.
        resumes: whether the first unit has to be a key frame; those before it count as nothing.
    """

    def __init__(
        self,
        late_s: float,
        economy: Economy,
        clock: Clock,
        skipped: Callable[[str, int], None],
        *,
        resumes: bool = False,
    ) -> None:
        self._late_s = late_s
        self._economy = economy
        self._clock = clock
        self._skipped = skipped
        self._lock = threading.Lock()
        self._units: deque[Unit] = deque()
        self._gap = resumes
        self._gap_s = clock.monotonic()
        self._why = ""  # there is a gap; empty at the begin
        self._resumed_pts: int | None = None
        self._leading = 0
        self._late_until_s = 0.0

    def put(self, unit: Unit) -> bool:
        """Have a unit wait that has just been read; True unless it is skipped."""
        now_s = self._clock.monotonic()
        with self._lock:
            wanted = self._economy.wants(unit, now_s)
            if self._leads(unit) or (self._gap and not unit.key):
                if self._why:
                    self._skipped(self._why, 1)
                return False
            if not wanted or not unit.whole:
                why = "late" if unit.whole else "decode"
                if not unit.disposable:  # what no other picture needs leaves no gap
                    self._open_gap(why, now_s)
                self._skipped(why, 1)
                return False
            self._units.append(self._resumed(unit) if self._gap else unit)
            self._gap = False
            self._skip_late(now_s)
            return bool(self._units)

    def take(self) -> Unit | None:
        """The next unit to decode, for which there is time; None if none waits."""
        with self._lock:
            self._skip_late(self._clock.monotonic())
            return self._units.popleft() if self._units else None

    def __len__(self) -> int:
        return len(self._units)

    def trouble(self, now_s: float) -> str:
        """What is not decoded these days, and why, for a person; nothing if all is."""
        level = self._economy.level
        if level or now_s < self._late_until_s:
            return f"{_TEXTS[level]}: {_WHY}"
        return _AWAITS if self._gap and self._why else ""

    def awaits_key_s(self, now_s: float) -> float:
        """For how many seconds everything has been skipped up to a key frame; 0 if nothing is."""
        return now_s - self._gap_s if self._gap else 0.0

    def _open_gap(self, why: str, now_s: float) -> None:
        if not self._gap:
            self._gap, self._gap_s = True, now_s
        self._why = why

    def _skip_late(self, now_s: float) -> None:
        units = self._units
        if not units or not self._is_late(units[0], now_s):
            return
        count = len(units)
        units.popleft()
        while units and (not units[0].key or self._is_late(units[0], now_s)):
            units.popleft()
        if units:
            key = self._resumed(units.popleft())
            while units and self._leads(units[0]):
                units.popleft()
            units.appendleft(key)
        else:
            self._open_gap("late", now_s)
        self._skipped("late", count - len(units))
        self._late_until_s = now_s + _TOLD_S
        self._economy.late(now_s)

    def _resumed(self, key: Unit) -> Unit:
        """The first unit after a gap."""
        self._resumed_pts, self._leading = key.packet.pts, 0
        return key._replace(resumes=True)

    def _leads(self, unit: Unit) -> bool:
        """Whether it comes after the first key frame after a gap, but is shown before it.

        Such pictures, of open groups of pictures, need others from before the gap.
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
        """Whether there is no time left for a unit."""
        return self._is_late(unit, self._clock.monotonic())

    def _is_late(self, unit: Unit, now_s: float) -> bool:
        return unit.arrival is not None and now_s - unit.arrival.at_s > self._late_s
