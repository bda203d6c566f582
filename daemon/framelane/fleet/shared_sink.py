"""A sink whose health includes that of the same sink in worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.telemetry.sink_health import SinkHealth, SpoolHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from framelane.messages.detections import Message
    from framelane.sinks.sink import Sink


class SharedSink:
    """A sink of this process whose health covers all processes."""

    def __init__(self, own: Sink, others: Callable[[], Sequence[SinkHealth]]) -> None:
        self._own = own
        self._others = others

    def start(self) -> None:
        """Start delivering."""
        self._own.start()

    def offer(self, message: Message) -> None:
        """Take a message."""
        self._own.offer(message)

    def stop(self, drain_s: float, farewell: Message | None) -> None:
        """Deliver waiting messages within `drain_s`, then `farewell`."""
        self._own.stop(drain_s, farewell)

    def own_health(self) -> SinkHealth:
        """Return the health of this process's sink."""
        return self._own.health()

    def health(self) -> SinkHealth:
        """Return the health of all processes' sinks: connected if all are, counts summed."""
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
            spool=_sum_spools([each.spool for each in every if each.spool is not None]),
        )


def sum_counts(every: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums of counts by reason."""
    total: dict[str, int] = {}
    for counts in every:
        for reason, count in counts.items():
            total[reason] = total.get(reason, 0) + count
    return total


def _sum_spools(every: Sequence[SpoolHealth]) -> SpoolHealth | None:
    if not every:
        return None
    return SpoolHealth(
        messages=sum(each.messages for each in every),
        disk_bytes=sum(each.disk_bytes for each in every),
        oldest_s=max((each.oldest_s for each in every if each.oldest_s is not None), default=None),
        trouble=next((each.trouble for each in every if each.trouble), None),
        full=any(each.full for each in every),
    )
