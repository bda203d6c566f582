"""Queues messages for the broker: the newest status, states and statistics, events, and detections."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from framelane.core.clock import Clock
    from framelane.messages.detections import Kind, Message
    from framelane.messages.event_queue import EventQueue
    from framelane.sinks.mqtt.spool.backlog import Backlog, Entry
    from framelane.sinks.mqtt.waker import Waker

    _TopicKey = tuple[Kind, str | None, str]


# One of this many messages comes from the backlog, however many events wait.
_BACKLOG_EVERY = 4


class QueuedMessage(NamedTuple):
    """A message on its way to the broker.

    Attributes:
        message: the message.
        entry: its entry in the backlog; None for all but detections.
        waited_s: how long detections have waited, which shortens their message expiry.
        ticket: of an event; None for others.
    """

    message: Message
    entry: Entry | None = None
    waited_s: float = 0.0
    ticket: int | None = None


class SendQueue:
    """Thread-safe queue.

    Detections wait in the backlog, and events where they are kept; events go first. Of other messages, only
    the newest per topic is sent.

    These other messages need no limit, are never dropped for detections, and overtake them. Retained ones are
    kept and become due again with each new connection, because the broker may have forgotten them or
    published our Will.
    """

    def __init__(self, backlog: Backlog, events: EventQueue, waker: Waker, clock: Clock) -> None:
        self._backlog = backlog
        self._events = events
        self._taken = 0
        self._waker = waker
        self._clock = clock
        self._lock = threading.Lock()
        self._retained: dict[_TopicKey, Message] = {}
        self._due: dict[_TopicKey, Message] = {}

    def put(self, message: Message) -> None:
        """Queue a message that is no event; from any thread."""
        if message.kind == "detections":
            self._backlog.append(message)
        else:
            key = _topic_key(message)
            with self._lock:
                self._due[key] = message
                if message.retain:
                    self._retained[key] = message
        self._waker.wake()

    def take(self) -> QueuedMessage | None:
        """Return the next message to send; None if none waits."""
        with self._lock:
            if self._due:
                return QueuedMessage(self._due.pop(next(iter(self._due))))
        self._taken += 1
        if self._taken % _BACKLOG_EVERY:
            return self._take_event() or self._take_detections()
        return self._take_detections() or self._take_event()

    def settle(self, queued: QueuedMessage) -> None:
        """Forget a message that the broker has."""
        message = queued.message
        if queued.entry is not None:
            self._backlog.settle(queued.entry)
        elif queued.ticket is not None:
            self._events.settle(queued.ticket)
        elif message.retain and not message.payload:
            # The retained message was removed for good.
            key = _topic_key(message)
            with self._lock:
                if self._retained.get(key) is message:
                    del self._retained[key]

    def repeat(self, message: Message) -> None:
        """Send a retained message again if it is still the newest of its topic."""
        key = _topic_key(message)
        with self._lock:
            if self._retained.get(key) is message:
                self._due[key] = message

    def rewind(self) -> None:
        """Make unacknowledged and retained messages due again after a connection has ended."""
        with self._lock:
            self._due = {**self._retained, **self._due}
        self._events.rewind()
        self._backlog.rewind()

    def empty(self) -> bool:
        """Return whether everything is delivered, including messages on disk."""
        return not self._due and not len(self._events) and not len(self._backlog)

    def waiting(self) -> bool:
        """Return whether `take` would return a message."""
        return bool(self._due) or self._events.waiting() or self._backlog.waiting() > 0

    def _take_event(self) -> QueuedMessage | None:
        taken = self._events.take()
        return None if taken is None else QueuedMessage(taken[1], ticket=taken[0])

    def _take_detections(self) -> QueuedMessage | None:
        entry = self._backlog.take()
        return None if entry is None else QueuedMessage(entry.message, entry, self._clock.wall() - entry.at)


def _topic_key(message: Message) -> _TopicKey:
    return message.kind, message.stream, message.key
