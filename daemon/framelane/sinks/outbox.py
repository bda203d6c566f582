"""What waits for the broker: the newest status, states and statistics, and detections in order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from framelane.sinks.backlog import Backlog
    from framelane.sinks.message import Kind, Message
    from framelane.sinks.waker import Waker


class Parcel(NamedTuple):
    """A message on its way to the broker; `ticket` is the backlog's, None for all but detections."""

    message: Message
    ticket: int | None


class Outbox:
    """Thread-safe. Detections queue up; of all other messages only the newest of each topic is worth sending.

    So these need no limit, are never dropped for detections, and overtake them. Retained ones are remembered
    and become due again with each new connection: the broker may have forgotten them, or published our Will.
    """

    def __init__(self, backlog: Backlog, waker: Waker) -> None:
        self._backlog = backlog
        self._waker = waker
        self._lock = threading.Lock()
        self._retained: dict[tuple[Kind, str | None], Message] = {}
        self._due: dict[tuple[Kind, str | None], Message] = {}
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Detections given up because too many waited."""
        return self._dropped

    def put(self, message: Message) -> None:
        """Take a message in; from any thread."""
        with self._lock:
            if message.kind == "detections":
                self._dropped += self._backlog.append(message)
            else:
                key = message.kind, message.stream
                self._due[key] = message
                if message.retain:
                    self._retained[key] = message
        self._waker.wake()

    def take(self) -> Parcel | None:
        """What to send next, None if nothing waits."""
        with self._lock:
            if self._due:
                return Parcel(self._due.pop(next(iter(self._due))), None)
            taken = self._backlog.take()
        return Parcel(taken[1], taken[0]) if taken else None

    def settle(self, parcel: Parcel) -> None:
        """The broker has it."""
        message = parcel.message
        with self._lock:
            if parcel.ticket is not None:
                self._backlog.settle(parcel.ticket)
            elif message.retain and not message.payload:  # taken back, for good
                key = message.kind, message.stream
                if self._retained.get(key) is message:
                    del self._retained[key]

    def rewind(self) -> None:
        """A connection has ended: what was in flight, and all that is retained, is due on the next one."""
        with self._lock:
            self._due = {**self._retained, **self._due}
            self._dropped += self._backlog.rewind()

    def waiting(self) -> bool:
        """Whether `take` would give anything."""
        with self._lock:
            return bool(self._due) or self._backlog.waiting() > 0

    def __len__(self) -> int:
        """Detections held, those in flight included."""
        with self._lock:
            return len(self._backlog)
