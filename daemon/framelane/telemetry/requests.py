"""Counts of HTTP requests for detections."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.telemetry.histogram import LATENCY_BUCKETS_S, Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.telemetry.histogram import HistogramCounts


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """A RequestMeter's values at one moment: requests by status, and the durations of successful ones."""

    statuses: Mapping[int, int]
    took: HistogramCounts


class RequestMeter:
    """Counts `/api/detect` requests; any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: Counter[int] = Counter()
        self._took = Histogram(LATENCY_BUCKETS_S)

    def request_done(self, status: int, took_s: float) -> None:
        """Count a request answered with this HTTP status after `took_s`."""
        with self._lock:
            self._statuses[status] += 1
            if status == 200:  # noqa: PLR2004 - refusals are answered at once and would hide slow requests
                self._took.observe(took_s)

    def snapshot(self) -> RequestCounts:
        """Return all counts."""
        with self._lock:
            return RequestCounts(dict(self._statuses), self._took.counts())
