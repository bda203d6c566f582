"""Events that the broker does not have yet: the next ones in memory, the others on disk."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from framelane.messages.detections import as_replayed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from framelane.core.clock import Clock
    from framelane.messages.detections import Message

# Events read ahead from disk; when fewer than the second number are left, more are read.
_AHEAD = 1024
_AHEAD_LEAST = 256
# Most events that are only in memory, because the disk can't be written to.
_MOST_LOOSE = 10_000
# An event that has waited this long is late, and says so.
_LATE_S = 5.0


@dataclass(slots=True, eq=False)
class Entry:
    """An event on its way to the broker.

    Attributes:
        message: the message.
        at: Unix time at which it was made.
        row: its row on disk; None while it is only in memory.
        gone: why its row was deleted while it was in flight; None if it was not.
    """

    message: Message
    at: float
    row: int | None = None
    gone: str | None = None

    @property
    def volatile(self) -> bool:
        """Whether it is only in memory, and belongs on disk."""
        return self.row is None and self.gone is None


class Gap(NamedTuple):
    """What to read from disk next: at most `most` events after `row`."""

    row: int
    most: int


class Outbox:
    """All events that the broker has not acknowledged, in order. Thread-safe; calls wait only for the lock.

    The sink's thread takes events and settles them; what it has taken and not settled is in flight. The
    journal's thread adds events once they are on disk, reads ahead, and deletes the rows of settled ones.
    Events stay in memory while there is room; then they are read from disk again, in order. While the disk
    can't be written to, events are loose: in memory only, behind all others.

    Args:
        clock: for ages.
    """

    def __init__(self, clock: Clock) -> None:
        self.dropped: Counter[str] = Counter()
        """Events given up, by reason."""
        self.arrived: Callable[[], None] = _ignore
        """Called when events can be taken."""
        self.nudge: Callable[[], None] = _ignore
        """Called when the journal's thread has work: few events are left in memory."""
        self._clock = clock
        self._lock = threading.Lock()
        self._ready: deque[Entry] = deque()
        self._loose: deque[Entry] = deque()
        self._flying: dict[int, Entry] = {}
        self._tickets = 0
        self._settled: set[int] = set()
        # Rows up to `_read_to` are in memory or done; up to `_last_row` they are on disk.
        self._read_to = 0
        self._last_row = 0
        self._on_disk = 0
        self._readable = False

    def take(self) -> tuple[int, Message] | None:
        """Return the next event with a ticket to settle it by; None if none can be sent."""
        with self._lock:
            entry = self._next()
            if entry is None:
                return None
            if self._clock.wall() - entry.at > _LATE_S:
                entry.message = as_replayed(entry.message)
            self._tickets += 1
            self._flying[self._tickets] = entry
            ticket = self._tickets
            runs_dry = len(self._ready) == _AHEAD_LEAST and self._read_to < self._last_row
        if runs_dry:
            self.nudge()
        return ticket, entry.message

    def settle(self, ticket: int) -> None:
        """Forget an event that the broker has, or will never accept."""
        with self._lock:
            entry = self._flying.pop(ticket, None)
            if entry is not None and entry.row is not None:
                self._settled.add(entry.row)

    def rewind(self) -> None:
        """Make events in flight available again, in order, after a connection has ended."""
        with self._lock:
            again, self._flying = list(self._flying.values()), {}
            for entry in again:
                # The broker may have it.
                entry.message = as_replayed(entry.message)
            self._ready.extendleft(reversed([entry for entry in again if entry.row is not None]))
            self._loose.extendleft(reversed([entry for entry in again if entry.volatile]))
            self.dropped.update(entry.gone for entry in again if entry.gone is not None)

    def waiting(self) -> bool:
        """Return whether `take` would return an event."""
        return bool(self._ready) or (bool(self._loose) and self._caught_up)

    def __len__(self) -> int:
        """Return how many events the broker does not have."""
        with self._lock:
            loose = len(self._loose) + sum(entry.volatile for entry in self._flying.values())
            return loose + max(self._on_disk - len(self._settled), 0)

    # The journal's thread uses the methods from here on.

    def opened(self, events: int, next_row: int) -> None:
        """Note how many events an opened file holds, and the row of the next one."""
        with self._lock:
            self._on_disk, self._last_row, self._readable = events, next_row - 1, True
            if not events:
                self._read_to = self._last_row

    def closed(self) -> None:
        """Note that the file can't be read for now."""
        with self._lock:
            self._readable = False

    def add(self, entries: Sequence[Entry], first_row: int) -> None:
        """Add new events that were written from this row on."""
        with self._lock:
            caught_up = self._read_to == self._last_row
            self._wrote(entries, first_row)
            if caught_up and len(self._ready) + len(entries) <= _AHEAD:
                self._ready.extend(entries)
                self._read_to = self._last_row
        self.arrived()

    def hold(self, entries: Sequence[Entry]) -> None:
        """Add new events that could not be written."""
        with self._lock:
            self._loose.extend(entries)
            while len(self._loose) > _MOST_LOOSE:
                self._loose.popleft()
                self.dropped["queue"] += 1
        self.arrived()

    def loose(self, most: int) -> list[Entry]:
        """Return the oldest events that are only in memory, to be written."""
        with self._lock:
            flying = [entry for entry in self._flying.values() if entry.volatile]
            return [*flying, *self._loose][:most]

    def wrote(self, entries: Sequence[Entry], first_row: int) -> None:
        """Note that loose events are on disk from this row on."""
        with self._lock:
            caught_up = self._read_to == self._last_row
            self._wrote(entries, first_row)
            here = {*self._flying.values(), *self._loose}
            # Settled in the meantime.
            self._settled.update(entry.row for entry in entries if entry.row and entry not in here)
            while self._loose and self._loose[0].row is not None:
                entry = self._loose.popleft()
                # Otherwise it is read from disk, behind older ones.
                if caught_up:
                    self._ready.append(entry)
            if caught_up:
                self._read_to = self._last_row

    def settled(self) -> list[int]:
        """Return rows that the broker has acknowledged."""
        with self._lock:
            return sorted(self._settled)

    def deleted(self, rows: Iterable[int], left: int) -> None:
        """Note that acknowledged rows were deleted, and how many are left."""
        with self._lock:
            self._settled.difference_update(rows)
            self._on_disk = left

    def gave_up(self, rows: Iterable[int], reason: str) -> int:
        """Note that the oldest rows were deleted for this reason; return how many events that lost."""
        with self._lock:
            gone = set(rows)
            lost = gone - self._settled
            self._settled -= gone
            for entry in self._flying.values():
                # Not lost yet, because the broker may accept it.
                if entry.row in gone:
                    lost.discard(entry.row)
                    entry.row, entry.gone = None, reason
            self._ready = deque(entry for entry in self._ready if entry.row not in gone)
            self._on_disk -= len(gone)
            self.dropped[reason] += len(lost)
            return len(lost)

    def lost_disk(self) -> int:
        """Note that everything on disk is gone; return how many events that lost."""
        with self._lock:
            kept = [entry for entry in (*self._flying.values(), *self._ready) if entry.row is not None]
            lost = max(self._on_disk - len(self._settled) - len(kept), 0)
            for entry in kept:
                entry.row = None
            self._loose.extendleft(reversed(self._ready))
            self._ready.clear()
            self._settled.clear()
            self._on_disk = self._last_row = self._read_to = 0
            self._readable = False
            self.dropped["corrupt"] += lost
            return lost

    def gap(self) -> Gap | None:
        """Return what to read ahead; None if enough was read, or nothing more is on disk."""
        with self._lock:
            if len(self._ready) > _AHEAD_LEAST or self._read_to >= self._last_row:
                return None
            return Gap(self._read_to, _AHEAD - len(self._ready))

    def read(self, entries: Iterable[Entry], last_row: int) -> None:
        """Take the events that were read for a gap, up to this row."""
        with self._lock:
            here = {entry.row for entry in (*self._flying.values(), *self._ready)} | self._settled
            self._ready.extend(entry for entry in entries if entry.row not in here)
            # An answer without any event: the others were deleted.
            self._read_to = last_row if last_row > self._read_to else self._last_row
        self.arrived()

    def unreadable(self, rows: Iterable[int]) -> None:
        """Note rows that can't be read, to be deleted and counted."""
        with self._lock:
            before = len(self._settled)
            self._settled.update(rows)
            self.dropped["corrupt"] += len(self._settled) - before

    @property
    def _caught_up(self) -> bool:
        """Whether nothing older than the loose events can be read from disk."""
        return self._read_to >= self._last_row or not self._readable

    def _next(self) -> Entry | None:
        if self._ready:
            return self._ready.popleft()
        return self._loose.popleft() if self._loose and self._caught_up else None

    def _wrote(self, entries: Sequence[Entry], first_row: int) -> None:
        for row, entry in enumerate(entries, first_row):
            entry.row = row
        self._last_row = first_row + len(entries) - 1
        self._on_disk += len(entries)


def _ignore() -> None:
    """Do nothing: nobody waits for this."""
