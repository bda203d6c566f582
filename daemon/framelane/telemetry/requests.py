"""Counts of HTTP requests for detections."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.telemetry.meters import LATENCY_BUCKETS_S, Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.telemetry.meters import HistogramCounts


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """A RequestMeter as it stood: requests by status, and the seconds that those with a result took."""

    statuses: Mapping[int, int]
    took: HistogramCounts


class RequestMeter:
    """Counts `/api/detect`; any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: Counter[int] = Counter()
        self._took = Histogram(LATENCY_BUCKETS_S)

    def request_done(self, status: int, took_s: float) -> None:
        """A request was answered with this HTTP status, so long after it began."""
        with self._lock:
            self._statuses[status] += 1
            if status == 200:  # noqa: PLR2004 - what is refused is answered at once, and would hide what is slow
                self._took.observe(took_s)

    def snapshot(self) -> RequestCounts:
        """All counts at one moment."""
        with self._lock:
            return RequestCounts(dict(self._statuses), self._took.counts())
