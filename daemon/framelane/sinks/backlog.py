"""Detections that wait for the broker, in order, until it acknowledges them."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from framelane.sinks.message import Message


class Backlog(Protocol):
    """An ordered store of detections; the outbox does the locking. In memory here, on disk where a spool is.

    What is taken stays in the store until it is settled, so that a store on disk survives the process.
    """

    def append(self, message: Message) -> int:
        """Add the newest; returns how many of the oldest had to go for it."""
        ...

    def take(self) -> tuple[int, Message] | None:
        """The oldest that was not taken yet, and a ticket to settle it with."""
        ...

    def settle(self, ticket: int) -> None:
        """The broker has it: forget it."""
        ...

    def rewind(self) -> int:
        """What is taken and not settled is to be taken again, oldest first; returns how many had to go."""
        ...

    def waiting(self) -> int:
        """Messages that can be taken."""
        ...

    def __len__(self) -> int:
        """Messages held, those taken and not settled included."""
        ...


class MemoryBacklog:
    """A bounded queue in memory; the oldest go first. What is taken, at most a window, comes on top."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[Message] = deque()
        self._taken: dict[int, Message] = {}
        self._tickets = count()

    def append(self, message: Message) -> int:
        """Add the newest; returns how many of the oldest had to go for it."""
        self._waiting.append(message)
        return self._trim()

    def take(self) -> tuple[int, Message] | None:
        """The oldest that was not taken yet, and a ticket to settle it with."""
        if not self._waiting:
            return None
        ticket, message = next(self._tickets), self._waiting.popleft()
        self._taken[ticket] = message
        return ticket, message

    def settle(self, ticket: int) -> None:
        """The broker has it: forget it."""
        self._taken.pop(ticket, None)

    def rewind(self) -> int:
        """What is taken and not settled is to be taken again, oldest first; returns how many had to go."""
        self._waiting.extendleft(reversed(self._taken.values()))
        self._taken.clear()
        return self._trim()

    def waiting(self) -> int:
        """Messages that can be taken."""
        return len(self._waiting)

    def __len__(self) -> int:
        """Messages held, those taken and not settled included."""
        return len(self._waiting) + len(self._taken)

    def _trim(self) -> int:
        surplus = max(len(self._waiting) - self._capacity, 0)
        for _ in range(surplus):
            self._waiting.popleft()
        return surplus
