"""The parent's sinks, which speak for the workers' of the same name too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.sinks.sink import Sink, SinkHealth, SpoolHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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
    def mqtt_spool_dropped(self) -> Mapping[str, int]:
        """Messages given up, by reason, in all processes."""
        return self.health().dropped_by

    @property
    def mqtt_spool(self) -> SpoolHealth | None:
        """The spools of all processes together."""
        return self.health().spool

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
            delivered=sum(each.delivered for each in every),
            dropped=sum(each.dropped for each in every),
            last_error=next((each.last_error for each in every if each.last_error), None),
            full=any(each.full for each in every),
            dropped_by=sum_counts(each.dropped_by for each in every),
            spool=_together([each.spool for each in every if each.spool is not None]),
        )


def sum_counts(every: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by reason, added up."""
    total: dict[str, int] = {}
    for counts in every:
        for reason, count in counts.items():
            total[reason] = total.get(reason, 0) + count
    return total


def _together(every: Sequence[SpoolHealth]) -> SpoolHealth | None:
    if not every:
        return None
    return SpoolHealth(
        messages=sum(each.messages for each in every),
        disk_bytes=sum(each.disk_bytes for each in every),
        oldest_s=max((each.oldest_s for each in every if each.oldest_s is not None), default=None),
        trouble=next((each.trouble for each in every if each.trouble), None),
        full=any(each.full for each in every),
    )
