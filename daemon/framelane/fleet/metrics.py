"""Metrics of worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from framelane.fleet.aggregate import Aggregate
    from framelane.fleet.supervisor import Supervisor


class WorkerCollector(Collector):
    """Whether each worker runs, its restarts and its memory."""

    def __init__(self, supervisors: Sequence[Supervisor], totals: Aggregate) -> None:
        self._supervisors = supervisors
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        """Return every metric family."""
        labels = ("worker",)
        up = GaugeMetricFamily("framelane_worker_up", "Whether the worker process runs.", labels=labels)
        restarts = CounterMetricFamily(
            "framelane_worker_restarts", "Times the worker process was started again.", labels=labels
        )
        memory = GaugeMetricFamily(
            "framelane_worker_resident_memory_bytes", "Resident memory of the worker process.", labels=labels
        )
        for each in self._supervisors:
            up.add_metric((each.share.name,), float(each.up))
            restarts.add_metric((each.share.name,), each.restarts)
            memory.add_metric((each.share.name,), self._totals.rss_bytes(each.share.number))
        return iter((up, restarts, memory))
