"""Detections that wait for the broker: first in memory, and from there on disk if there is a spool."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from framelane.core.clock import Clock
    from framelane.core.drop_reasons import LossReason
    from framelane.messages.detections import Message

# One of this many messages taken is replayed, however many new ones wait.
_REPLAY_EVERY = 4
# Messages read ahead from disk.
_AHEAD = 512
# When fewer are left, more are read.
_AHEAD_LEAST = 256
# Rows to remember while the disk accepts no writes; then replay pauses.
_MOST_UNDELETED = 10_000


@dataclass(slots=True, eq=False)
class Entry:
    """A detections message on its way to the broker.

    Attributes:
        message: the message; if it was read from disk, its `replayed` is true.
        at: Unix time at which it was published.
        put_s: the same on the monotonic clock; meaningless if it was read from disk.
        row: its row on disk; None while it is only in memory.
        settled: whether the broker has it, or it was dropped.
        gone: why its row was deleted while it was in flight; None if it was not.
    """

    message: Message
    at: float
    put_s: float = 0.0
    row: int | None = None
    settled: bool = False
    gone: str | None = None

    @property
    def volatile(self) -> bool:
        """Whether it is only in memory, and belongs on disk."""
        return self.row is None and self.gone is None


class Gap(NamedTuple):
    """What to read from disk next: at most `most` messages after `row`.

    A changed `turn` makes the request outdated.
    """

    row: int
    most: int
    turn: int


class Backlog:
    """All detections that the broker has not acknowledged. Thread-safe; calls wait for nothing but the lock.

    There are two queues, each in order for every stream: fresh messages in memory, and those replayed from
    disk. Fresh ones go first, but one of four messages is replayed. The sender takes from both and settles;
    what it has taken and not settled is in flight. The spool's thread moves old messages from memory to disk
    (`unwritten`, then `wrote`), reads ahead for the replay (`gap`, `read`), and deletes settled messages
    (`deletable`, `deleted`). Without it, this is a bounded queue in memory.

    Args:
        capacity: most messages that wait in memory; beyond that the oldest are dropped. Messages in flight
            are extra.
        clock: for ages.
        expiry_s: age from which a message is not worth sending; 0 for never.
    """

    def __init__(self, capacity: int, clock: Clock, expiry_s: float = 0.0) -> None:
        self.capacity = capacity
        self.dropped: Counter[str] = Counter()
        """Dropped messages by reason."""
        self.nudge: Callable[[], None] = _ignore
        """Called when the spool's thread has work soon: memory fills up, or the replay queue runs empty."""
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
        """Add the newest message."""
        entry = Entry(message, self._clock.wall(), self._clock.monotonic())
        with self._lock:
            self._fresh.append(entry)
            self._trim()
            half_full = len(self._fresh) == self.capacity // 2
        if half_full:
            self.nudge()

    def take(self) -> Entry | None:
        """Return the next message, which is in flight until it is settled; None if nothing can be sent."""
        with self._lock:
            self._taken += 1
            queues = self._fresh, self._replay
            for queue in queues if self._taken % _REPLAY_EVERY else reversed(queues):
                entry = self._pop(queue)
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
        """Forget a message that the broker has, or will never accept."""
        with self._lock:
            self._flying.pop(entry, None)
            self._forget(entry)

    def rewind(self) -> None:
        """Make messages in flight available again, in order, after a connection has ended."""
        with self._lock:
            rows = [entry.row for entry in (*self._flying, *self._replay) if entry.row is not None]
            self.dropped.update(entry.gone for entry in self._flying if entry.gone is not None)
            again = [entry for entry in self._flying if entry.volatile]
            self._rewound = len(again)
            # Replayed ones may be among them.
            self._fresh = deque(sorted((*again, *self._fresh), key=_put_s))
            self._flying.clear()
            self._read_again_from(rows)
            self._trim()
        self.nudge()

    def waiting(self) -> int:
        """Return how many messages can be taken at once."""
        return len(self._fresh) + len(self._replay)

    @property
    def pressed(self) -> bool:
        """Whether memory fills up."""
        return len(self._fresh) >= max(self.capacity // 2, 1)

    @property
    def full(self) -> bool:
        """Whether new messages displace the oldest in memory."""
        return len(self._fresh) >= self.capacity

    def in_memory(self) -> int:
        """Return how many messages are only in memory."""
        with self._lock:
            return self._volatile()

    def on_disk(self) -> int:
        """Return how many undelivered messages are on disk."""
        with self._lock:
            return max(self._on_disk - len(self._settled_rows), 0)

    def __len__(self) -> int:
        """Return how many messages the broker does not have, including those in flight and on disk."""
        with self._lock:
            return self._volatile() + max(self._on_disk - len(self._settled_rows), 0)

    # The spool's thread uses the methods from here on.

    def found(self, count: int) -> None:
        """Note how many messages an opened spool holds; none has been read yet."""
        with self._lock:
            self._on_disk, self._read_to = count, 0
            self._read_again_from([])

    def unwritten(self, before_s: float) -> list[Entry]:
        """Return messages older than this monotonic time and only in memory, oldest first.

        They stay until `wrote`.
        """
        with self._lock:
            flying = [entry for entry in self._flying if entry.volatile and entry.put_s <= before_s]
            return [*flying, *takewhile(lambda entry: entry.put_s <= before_s, self._fresh)]

    def wrote(self, entries: Sequence[Entry], first_row: int) -> None:
        """Note that entries are on disk from this row on. Those that still wait leave memory."""
        with self._lock:
            for row, entry in enumerate(entries, first_row):
                entry.row = row
                # Settled in the meantime.
                if entry.settled:
                    self._settled_rows.add(row)
            self._on_disk += len(entries)
            while self._fresh and self._fresh[0].row is not None:
                self._fresh.popleft()

    def deletable(self) -> list[int]:
        """Return rows that the broker has acknowledged."""
        with self._lock:
            return sorted(self._settled_rows)

    def deleted(self, rows: Iterable[int], count: int) -> None:
        """Note that rows were deleted; `count` of them existed."""
        with self._lock:
            self._settled_rows.difference_update(rows)
            self._on_disk -= count

    def gave_up(self, rows: Collection[int], reason: LossReason) -> int:
        """Note that the oldest rows were deleted for this reason. Return how many messages that lost."""
        with self._lock:
            gone = set(rows)
            lost = gone - self._settled_rows
            self._settled_rows -= gone
            for entry in self._flying:
                # Not lost yet, because the broker may accept it.
                if entry.row in gone:
                    lost.discard(entry.row)
                    entry.row, entry.gone = None, reason
            self._replay = deque(entry for entry in self._replay if entry.row not in gone)
            self._on_disk -= len(gone)
            self.dropped[reason] += len(lost)
            return len(lost)

    def lost_disk(self, reason: LossReason) -> int:
        """Note that everything on disk is gone.

        Return how many messages that lost, without those read ahead.
        """
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
        """Return what to read ahead; None if enough was read, or nothing more is on disk."""
        with self._lock:
            if len(self._replay) > _AHEAD_LEAST or len(self._settled_rows) > _MOST_UNDELETED:
                return None
            if not self._on_disk:
                return None
            return Gap(self._read_to, _AHEAD - len(self._replay), self._turn)

    def read(self, gap: Gap, entries: Iterable[Entry], last_row: int) -> bool:
        """Take what was read for a gap, up to this row.

        Return False if a rewind made it outdated, or nothing is new.
        """
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

    def unreadable(self, rows: Iterable[int]) -> None:
        """Note rows that can't be read, to be deleted and counted."""
        with self._lock:
            before = len(self._settled_rows)
            self._settled_rows.update(rows)
            self.dropped["corrupt"] += len(self._settled_rows) - before

    def _pop(self, queue: deque[Entry]) -> Entry | None:
        """Take the oldest message of a queue that is still worth sending."""
        while queue:
            entry = queue.popleft()
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
        """Drop the oldest above the capacity.

        Messages that were in flight stay until the spool's thread has seen them.
        """
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


def _ignore() -> None:
    """Do nothing: there is no spool."""
