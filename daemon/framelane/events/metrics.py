"""The journal, counters and occupancies as Prometheus metrics, collected at each scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from framelane.messages.events import ZoneState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from prometheus_client.core import Metric

    from framelane.events.health import JournalHealth
    from framelane.messages.events import LineState


class MeasuredJournal(Protocol):
    """A journal to measure."""

    health: JournalHealth

    @property
    def states(self) -> Collection[ZoneState | LineState]:
        """The states of zones and lines."""
        ...


class JournalCollector(Collector):
    """Metrics of a node's events."""

    def __init__(self, journal: MeasuredJournal) -> None:
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        """Return every metric family. What is unknown is absent."""
        crossings = CounterMetricFamily(
            "framelane_line_crossings",
            "Objects that crossed a line, since its epoch.",
            labels=("stream", "line", "label", "direction"),
        )
        objects = GaugeMetricFamily(
            "framelane_zone_objects", "Objects in a zone.", labels=("stream", "zone", "label")
        )
        for state in self._journal.states:
            if isinstance(state, ZoneState):
                if state.count is not None:
                    objects.add_metric((state.stream, state.zone, state.label), state.count)
            elif state.left is not None and state.right is not None:
                crossings.add_metric((state.stream, state.line, state.label, "left"), state.left)
                crossings.add_metric((state.stream, state.line, state.label, "right"), state.right)
        yield crossings
        yield objects
        yield from _health(self._journal.health)


def _health(health: JournalHealth) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "framelane_journal_up",
        "Whether events and counters are safe on disk.",
        float(health.trouble is None),
    )
    yield GaugeMetricFamily(
        "framelane_journal_events", "Events that the broker does not have yet.", health.undelivered
    )
    yield GaugeMetricFamily("framelane_journal_bytes", "What the journal takes on disk.", health.disk_bytes)
    yield GaugeMetricFamily(
        "framelane_journal_oldest_seconds", "Age of the oldest event on disk.", health.oldest_s or 0.0
    )
    dropped = CounterMetricFamily(
        "framelane_journal_dropped", "Events given up, by reason.", labels=("reason",)
    )
    for reason, count in health.dropped.items():
        dropped.add_metric((reason,), count)
    yield dropped
