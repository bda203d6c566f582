"""Metrics of the worker processes themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from framelane.fleet.ledger import Ledger
    from framelane.fleet.supervisor import Supervisor


class WorkerCollector(Collector):
    """Up, restarts and memory of each worker."""

    def __init__(self, supervisors: Sequence[Supervisor], ledger: Ledger) -> None:
        self._supervisors = supervisors
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """Every metric family."""
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
            memory.add_metric((each.share.name,), self._ledger.rss_bytes(each.share.number))
        return iter((up, restarts, memory))
