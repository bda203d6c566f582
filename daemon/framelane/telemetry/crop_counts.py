"""Counts the crops of one stream's objects that go to one second model."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.core.drop_reasons import CROPS
from framelane.telemetry.histogram import LATENCY_BUCKETS_S, Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.core.drop_reasons import CropReason
    from framelane.telemetry.histogram import HistogramCounts


@dataclass(frozen=True, slots=True)
class CropCounts:
    """A CropMeter's values at one moment.

    Attributes:
        sent: crops that were cut.
        dropped: crops without an answer, by reason.
        latency: cutting to the answer in time, in seconds.
    """

    sent: int
    dropped: Mapping[str, int]
    latency: HistogramCounts

    @property
    def answered(self) -> int:
        """Crops whose answer came in time."""
        return self.latency.observations


class CropMeter:
    """Counts crops; called by the first model's delivery thread, read by any."""

    __slots__ = ("_dropped", "_latency", "_lock", "_sent")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent = 0
        self._dropped: dict[str, int] = dict.fromkeys(CROPS, 0)
        self._latency = Histogram(LATENCY_BUCKETS_S)

    def crop_sent(self) -> None:
        """Count a crop that was cut."""
        with self._lock:
            self._sent += 1

    def crop_answered(self, latency_s: float) -> None:
        """Count an answer in time, with the seconds since the crop was cut."""
        with self._lock:
            self._latency.observe(latency_s)

    def crop_dropped(self, reason: CropReason) -> None:
        """Count a crop without an answer."""
        with self._lock:
            self._dropped[reason] += 1

    def snapshot(self) -> CropCounts:
        """All totals at one moment."""
        with self._lock:
            return CropCounts(self._sent, dict(self._dropped), self._latency.counts())
