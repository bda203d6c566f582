"""Detections that wait for the broker: in memory first, and from there on disk, where there is a spool."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from framelane.core.clock import Clock
    from framelane.sinks.message import Message

_REPLAY_EVERY = 4  # of so many messages taken one is replayed, however many new ones wait
_AHEAD = 512  # messages read ahead from disk
_AHEAD_LEAST = 256  # from here on more are read
_MOST_UNDELETED = 10_000  # rows to remember while the disk takes no writes; then replaying pauses


@dataclass(slots=True, eq=False)
class Entry:
    """A detections message on its way to the broker.

    Attributes:
        message: what to send; where it was read from disk its `replayed` is true.
        at: Unix time at which it was published.
        put_s: the same on the monotonic clock; of no meaning where it was read from disk.
        row: where it lies on disk, None while it is in memory alone.
        settled: whether it is done with: the broker has it, or it was dropped.
        gone: why its row had to go while it was in flight; None where it did not.
    """

    message: Message
    at: float
    put_s: float = 0.0
    row: int | None = None
    settled: bool = False
    gone: str | None = None

    @property
    def volatile(self) -> bool:
        """Whether it is in memory alone, and belongs on disk."""
        return self.row is None and self.gone is None


class Gap(NamedTuple):
    """What to read from disk next: at most `most` messages after `row`; `turn` changes where that is outdated."""

    row: int
    most: int
    turn: int


class Backlog:
    """All detections that the broker has not acknowledged. Thread-safe; no call waits for anything but the lock.

    There are two lanes, each in order for every stream: `fresh`, in memory, and what is replayed from disk. Fresh
    ones go first, but of four messages one is replayed. The courier takes from the lanes and settles; what it has
    taken and not settled is in flight. The spool's thread moves what is too old from memory to disk (`unwritten`,
    then `wrote`), reads ahead for the lane that is replayed (`gap`, `read`), and deletes what is
    settled (`deletable`, `deleted`). Without it this is a bounded queue in memory.

    Args:
        capacity: most messages that wait in memory; then the oldest go. What is in flight comes on top.
        clock: for ages.
        expiry_s: from this age on a message is not worth sending; 0 for never.
    """

    def __init__(self, capacity: int, clock: Clock, expiry_s: float = 0.0) -> None:
        self.capacity = capacity
        self.dropped: Counter[str] = Counter()
        """Messages given up, by reason."""
        self.nudge: Callable[[], None] = _nobody
        """Called where the spool's thread should look soon: memory fills up, or the lane on disk runs dry."""
        self._clock = clock
        self._expiry_s = expiry_s
        self._lock = threading.Lock()
        self._fresh: deque[Entry] = deque()
        self._flying: dict[Entry, None] = {}
        self._replay: deque[Entry] = deque()
        self._settled_rows: set[int] = set()
        self._on_disk = 0
        self._read_to = 0
        self._turn = 0
        self._taken = 0
        self._rewound = 0

    def append(self, message: Message) -> None:
        """Add the newest."""
        entry = Entry(message, self._clock.wall(), self._clock.monotonic())
        with self._lock:
            self._fresh.append(entry)
            self._trim()
            half_full = len(self._fresh) == self.capacity // 2
        if half_full:
            self.nudge()

    def take(self) -> Entry | None:
        """The next to send: it is in flight until it is settled; None if nothing can be sent."""
        with self._lock:
            self._taken += 1
            lanes = self._fresh, self._replay
            for lane in lanes if self._taken % _REPLAY_EVERY else reversed(lanes):
                entry = self._pop(lane)
                if entry is not None:
                    self._flying[entry] = None
                    break
            else:
                return None
            runs_dry = entry.row is not None and len(self._replay) == _AHEAD_LEAST
        if runs_dry:
            self.nudge()
        return entry

    def settle(self, entry: Entry) -> None:
        """The broker has it, or will never take it: forget it."""
        with self._lock:
            self._flying.pop(entry, None)
            self._forget(entry)

    def rewind(self) -> None:
        """A connection has ended: what is in flight is to be taken again, in order, from memory or from disk."""
        with self._lock:
            rows = [entry.row for entry in (*self._flying, *self._replay) if entry.row is not None]
            self.dropped.update(entry.gone for entry in self._flying if entry.gone is not None)
            again = [entry for entry in self._flying if entry.volatile]
            self._rewound = len(again)
            self._fresh = deque(sorted((*again, *self._fresh), key=_put_s))  # replayed ones may be among them
            self._flying.clear()
            self._read_again_from(rows)
            self._trim()
        self.nudge()

    def waiting(self) -> int:
        """Messages that can be taken at once."""
        return len(self._fresh) + len(self._replay)

    @property
    def pressed(self) -> bool:
        """Whether memory fills up."""
        return len(self._fresh) >= max(self.capacity // 2, 1)

    @property
    def full(self) -> bool:
        """Whether the oldest in memory go for those that come."""
        return len(self._fresh) >= self.capacity

    def in_memory(self) -> int:
        """Messages that are in memory alone."""
        with self._lock:
            return self._volatile()

    def on_disk(self) -> int:
        """Messages on disk that the broker does not have."""
        with self._lock:
            return max(self._on_disk - len(self._settled_rows), 0)

    def __len__(self) -> int:
        """Messages that the broker does not have, those in flight and on disk included."""
        with self._lock:
            return self._volatile() + max(self._on_disk - len(self._settled_rows), 0)

    # What follows is for the spool's thread.

    def found(self, count: int) -> None:
        """So many messages lie on disk, of which none is known here yet."""
        with self._lock:
            self._on_disk, self._read_to = count, 0
            self._read_again_from([])

    def unwritten(self, before_s: float) -> list[Entry]:
        """What is older than this monotonic time and in memory alone, oldest first; it stays there until `wrote`."""
        with self._lock:
            flying = [entry for entry in self._flying if entry.volatile and entry.put_s <= before_s]
            return [*flying, *takewhile(lambda entry: entry.put_s <= before_s, self._fresh)]

    def wrote(self, entries: Sequence[Entry], first_row: int) -> None:
        """They lie on disk now, from this row on: those that still wait have left memory."""
        with self._lock:
            for row, entry in enumerate(entries, first_row):
                entry.row = row
                if entry.settled:  # meanwhile
                    self._settled_rows.add(row)
            self._on_disk += len(entries)
            while self._fresh and self._fresh[0].row is not None:
                self._fresh.popleft()

    def deletable(self) -> list[int]:
        """Rows that the broker has acknowledged."""
        with self._lock:
            return sorted(self._settled_rows)

    def deleted(self, rows: Iterable[int], count: int) -> None:
        """They are gone from disk, of which `count` were there."""
        with self._lock:
            self._settled_rows.difference_update(rows)
            self._on_disk -= count

    def gave_up(self, rows: Collection[int], reason: str) -> int:
        """These rows were the oldest on disk and had to go; returns how many messages that lost."""
        with self._lock:
            gone = set(rows)
            lost = gone - self._settled_rows
            self._settled_rows -= gone
            for entry in self._flying:
                if entry.row in gone:  # not lost yet: the broker may take it
                    lost.discard(entry.row)
                    entry.row, entry.gone = None, reason
            self._replay = deque(entry for entry in self._replay if entry.row not in gone)
            self._on_disk -= len(gone)
            self.dropped[reason] += len(lost)
            return len(lost)

    def lost_disk(self, reason: str) -> int:
        """What lay on disk is gone; returns how many messages that lost: those read ahead are still here."""
        with self._lock:
            kept = [entry for entry in (*self._flying, *self._replay) if entry.row is not None]
            lost = max(self._on_disk - len(self._settled_rows) - len(kept), 0)
            for entry in kept:
                entry.row = None
            self._fresh.extendleft(reversed(self._replay))
            self._replay.clear()
            self._settled_rows.clear()
            self._on_disk = 0
            self._turn += 1
            self.dropped[reason] += lost
            self._trim()
            return lost

    def gap(self) -> Gap | None:
        """What to read ahead, None where there is enough, or nothing more on disk."""
        with self._lock:
            if len(self._replay) > _AHEAD_LEAST or len(self._settled_rows) > _MOST_UNDELETED:
                return None
            if not self._on_disk:
                return None
            return Gap(self._read_to, _AHEAD - len(self._replay), self._turn)

    def read(self, gap: Gap, entries: Iterable[Entry], last_row: int) -> bool:
        """What the gap holds, up to this row; False if a rewind has made it worthless, or nothing is new."""
        with self._lock:
            if gap.turn != self._turn:
                return False
            flying = {entry.row for entry in self._flying}
            new = [
                entry for entry in entries if entry.row not in flying and entry.row not in self._settled_rows
            ]
            self._replay.extend(new)
            self._read_to = last_row
            return bool(new)

    def spoilt(self, rows: Iterable[int]) -> None:
        """What lies in these rows can't be read: to be deleted, and counted."""
        with self._lock:
            before = len(self._settled_rows)
            self._settled_rows.update(rows)
            self.dropped["corrupt"] += len(self._settled_rows) - before

    def _pop(self, lane: deque[Entry]) -> Entry | None:
        """The oldest of a lane that is still worth sending."""
        while lane:
            entry = lane.popleft()
            if not self._expiry_s or self._clock.wall() - entry.at < self._expiry_s:
                return entry
            self._forget(entry)
            self.dropped["expired"] += 1
        return None

    def _forget(self, entry: Entry) -> None:
        entry.settled = True
        if entry.row is not None:
            self._settled_rows.add(entry.row)

    def _read_again_from(self, rows: Sequence[int]) -> None:
        self._read_to = min([self._read_to, *(row - 1 for row in rows)])
        self._replay.clear()
        self._turn += 1

    def _trim(self) -> None:
        """What was in flight comes on top of the capacity until it is gone: the spool's thread must see it first."""
        for _ in range(len(self._fresh) - self.capacity - self._rewound):
            self._fresh.popleft().settled = True
            self.dropped["queue"] += 1
        if len(self._fresh) <= self.capacity:
            self._rewound = 0

    def _volatile(self) -> int:
        flying = sum(entry.row is None for entry in self._flying)
        return len(self._fresh) + flying


def _put_s(entry: Entry) -> float:
    return entry.put_s


def _nobody() -> None:
    """There is no spool."""
