"""What the outlet asks of every place that messages go to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.sinks.message import Message


@dataclass(frozen=True, slots=True)
class SpoolHealth:
    """How a sink's spool on disk fares.

    Attributes:
        messages: on disk.
        disk_bytes: what they take there.
        oldest_s: age of the oldest in seconds; None where there is none.
        trouble: why messages are not safe, for a person; None while they are.
        full: whether the oldest are given up for those that come.
    """

    messages: int = 0
    disk_bytes: int = 0
    oldest_s: float | None = None
    trouble: str | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """How a sink fares.

    Attributes:
        name: "mqtt" or "jsonl".
        connected: whether messages get through now.
        queued: messages that wait (MQTT: detections), those not yet acknowledged and those on disk included.
        delivered: messages acknowledged by the broker, or written, since the start.
        dropped: messages given up since the start.
        last_error: why messages don't get through, for a person and free of credentials; None while they do.
        overdue_s: seconds that its thread has been away longer than anything it does may take: it hangs.
        full: whether the oldest are dropped for those that come.
        dropped_by: `dropped` by reason.
        spool: how its spool fares; None where it has none.
    """

    name: str
    connected: bool
    queued: int
    delivered: int
    dropped: int
    last_error: str | None
    overdue_s: float = 0.0
    full: bool = False
    dropped_by: Mapping[str, int] = field(default_factory=dict)
    spool: SpoolHealth | None = None


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
