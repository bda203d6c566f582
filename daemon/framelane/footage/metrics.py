"""Metrics of the folder of snapshots and clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from framelane.footage.store import MediaStore

_REASONS = ("size", "age", "free", "uploaded")
"""All reasons for which files are deleted, so that a counter exists before it counts."""


class MediaCollector(Collector):
    """Bytes on disk, free space and deleted files; read at each scrape."""

    def __init__(self, store: MediaStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Return every metric family."""
        figures, free = self._store.figures(), self._store.free()
        yield GaugeMetricFamily(
            "framelane_media_bytes",
            "Disk space of snapshots and clips, all processes together.",
            figures.used,
        )
        if free is not None:
            yield GaugeMetricFamily(
                "framelane_media_free_bytes", "Free space on the disk of snapshots and clips.", free
            )
        deleted = CounterMetricFamily(
            "framelane_media_deleted", "Snapshots and clips that were deleted, by reason.", labels=("reason",)
        )
        for reason in _REASONS:
            deleted.add_metric((reason,), figures.deleted.get(reason, 0))
        yield deleted
