"""Sends an ONVIF message ahead of each event that crosses a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from framelane.messages.onvif.payloads import crossed_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.messages.detections import Message
    from framelane.messages.event_queue import EventQueue

_LINE = b'"kind":"line"'


class WithCrossings:
    """The same events, each crossing of a line preceded by its ONVIF message.

    That message has the negative ticket of its event and no place on disk: the event is settled once both
    are, and otherwise both are sent again. Used by the sink's thread.

    Args:
        events: the events; their tickets are positive.
    """

    def __init__(self, events: EventQueue) -> None:
        self._events = events
        self._held: tuple[int, Message] | None = None
        # Events whose ONVIF message is in flight, and those of them that are settled themselves.
        self._flying: set[int] = set()
        self._settled: set[int] = set()

    @property
    def arrived(self) -> Callable[[], None]:
        """Called when messages can be taken."""
        return self._events.arrived

    @arrived.setter
    def arrived(self, call: Callable[[], None]) -> None:
        self._events.arrived = call

    def take(self) -> tuple[int, Message] | None:
        """Return the next message with a ticket to settle it by; None if none can be sent."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        taken = self._events.take()
        if taken is None or _LINE not in taken[1].payload:
            return taken
        ticket, event = taken
        self._held = taken
        self._flying.add(ticket)
        return -ticket, crossed_message(orjson.loads(event.payload))

    def settle(self, ticket: int) -> None:
        """Forget a message that the broker has, or will never accept."""
        event = abs(ticket)
        if ticket < 0:
            self._flying.discard(event)
        else:
            self._settled.add(event)
        if event in self._settled and event not in self._flying:
            self._settled.discard(event)
            self._events.settle(event)

    def rewind(self) -> None:
        """Make events that are not settled available again, each with its ONVIF message."""
        self._held = None
        self._flying.clear()
        self._settled.clear()
        self._events.rewind()

    def waiting(self) -> bool:
        """Return whether `take` would return a message."""
        return self._held is not None or self._events.waiting()

    def __len__(self) -> int:
        """Return how many events the broker does not have."""
        return len(self._events)
