"""The interface between the publisher and a sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from framelane.messages.detections import Message
    from framelane.telemetry.sink_health import SinkHealth


class Sink(Protocol):
    """A place that messages go to, with its own thread. Its faults never reach the caller of `offer`."""

    def start(self) -> None:
        """Start delivering."""
        ...

    def offer(self, message: Message) -> None:
        """Take a message. Return at once, never raise; the oldest detections may be dropped to make room."""
        ...

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        """Deliver what waits within `drain_s` seconds, then `farewell` if there is one, and end."""
        ...

    def health(self) -> SinkHealth:
        """Return the sink's current health."""
        ...
