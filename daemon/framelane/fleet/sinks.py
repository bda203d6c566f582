"""The parent's sinks, which speak for the workers' of the same name too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.sinks.sink import Sink, SinkHealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.sinks.message import Message


class SharedSink:
    """A sink of this process whose health is that of all processes together."""

    def __init__(self, own: Sink, others: Callable[[], list[SinkHealth]]) -> None:
        self._own = own
        self._others = others

    @property
    def mqtt_connected(self) -> bool:
        """Whether every session stands."""
        return self.health().connected

    @property
    def mqtt_spool_messages(self) -> int:
        """Messages that wait, in all processes."""
        return self.health().queued

    @property
    def mqtt_spool_dropped_total(self) -> int:
        """Messages given up, in all processes."""
        return self.health().dropped

    def start(self) -> None:
        """Begin to deliver."""
        self._own.start()

    def offer(self, message: Message) -> None:
        """Take a message."""
        self._own.offer(message)

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        """Deliver what waits within `drain_s`, then `farewell`."""
        self._own.stop(drain_s, farewell)

    def own_health(self) -> SinkHealth:
        """How this process's sink fares."""
        return self._own.health()

    def health(self) -> SinkHealth:
        """Connected where all are; the rest summed."""
        every = [self._own.health(), *self._others()]
        return SinkHealth(
            name=every[0].name,
            connected=all(each.connected for each in every),
            queued=sum(each.queued for each in every),
            capacity=sum(each.capacity for each in every),
            delivered=sum(each.delivered for each in every),
            dropped=sum(each.dropped for each in every),
            last_error=next((each.last_error for each in every if each.last_error), None),
        )
