"""What the outlet asks of every place that messages go to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from framelane.sinks.message import Message


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """How a sink fares.

    Attributes:
        name: "mqtt" or "jsonl".
        connected: whether messages get through now.
        queued: messages that wait (MQTT: detections), those not yet acknowledged included.
        capacity: most detections that may wait; from there on the oldest are dropped.
        delivered: messages acknowledged by the broker, or written, since the start.
        dropped: messages given up since the start.
        last_error: why messages don't get through, for a person and free of credentials; None while they do.
        overdue_s: seconds that its thread has been away longer than anything it does may take: it hangs.
    """

    name: str
    connected: bool
    queued: int
    capacity: int
    delivered: int
    dropped: int
    last_error: str | None
    overdue_s: float = 0.0


class Sink(Protocol):
    """A place that messages go to, with a thread of its own; what happens there never reaches who offers."""

    def start(self) -> None:
        """Begin to deliver."""
        ...

    def offer(self, message: Message) -> None:
        """Take a message; returns at once, never raises, and may drop the oldest detections to make room."""
        ...

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        """Deliver what waits within `drain_s` seconds, then `farewell` if there is one, and end."""
        ...

    def health(self) -> SinkHealth:
        """How it fares now."""
        ...
