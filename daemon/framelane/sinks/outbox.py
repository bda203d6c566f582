"""What waits for the broker: the newest status, states and statistics, and the backlog of detections."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from framelane.core.clock import Clock
    from framelane.sinks.backlog import Backlog, Entry
    from framelane.sinks.message import Kind, Message
    from framelane.sinks.waker import Waker


class Parcel(NamedTuple):
    """A message on its way to the broker.

    Attributes:
        message: what to send.
        entry: the backlog's, None for all but detections.
        waited_s: for how long detections have waited; it is taken off their message expiry.
    """

    message: Message
    entry: Entry | None = None
    waited_s: float = 0.0


class Outbox:
    """Thread-safe. Detections wait in the backlog; of all others only the newest of each topic is worth sending.

    So these need no limit, are never dropped for detections, and overtake them. Retained ones are remembered
    and become due again with each new connection: the broker may have forgotten them, or published our Will.
    """

    def __init__(self, backlog: Backlog, waker: Waker, clock: Clock) -> None:
        self._backlog = backlog
        self._waker = waker
        self._clock = clock
        self._lock = threading.Lock()
        self._retained: dict[tuple[Kind, str | None], Message] = {}
        self._due: dict[tuple[Kind, str | None], Message] = {}

    def put(self, message: Message) -> None:
        """Take a message in; from any thread."""
        if message.kind == "detections":
            self._backlog.append(message)
        else:
            key = message.kind, message.stream
            with self._lock:
                self._due[key] = message
                if message.retain:
                    self._retained[key] = message
        self._waker.wake()

    def take(self) -> Parcel | None:
        """What to send next, None if nothing waits."""
        with self._lock:
            if self._due:
                return Parcel(self._due.pop(next(iter(self._due))))
        entry = self._backlog.take()
        return None if entry is None else Parcel(entry.message, entry, self._clock.wall() - entry.at)

    def settle(self, parcel: Parcel) -> None:
        """The broker has it."""
        message = parcel.message
        if parcel.entry is not None:
            self._backlog.settle(parcel.entry)
        elif message.retain and not message.payload:  # taken back, for good
            key = message.kind, message.stream
            with self._lock:
                if self._retained.get(key) is message:
                    del self._retained[key]

    def rewind(self) -> None:
        """A connection has ended: what was in flight, and all that is retained, is due on the next one."""
        with self._lock:
            self._due = {**self._retained, **self._due}
        self._backlog.rewind()

    def empty(self) -> bool:
        """Whether all is delivered, what is still to be read from disk included."""
        return not self._due and not len(self._backlog)

    def waiting(self) -> bool:
        """Whether `take` would give anything."""
        return bool(self._due) or self._backlog.waiting() > 0
