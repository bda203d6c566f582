"""Run the daemon on a GPU at one load for minutes: memory must stay flat, and nothing may be lost."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.measure.figures import Flatness, Percentiles
from framelane.measure.report import latency_text, number

if TYPE_CHECKING:
    from framelane.measure.gpu_use import GpuUse
    from framelane.measure.process import Usage
    from lab.delivery_record import Received


@dataclass(frozen=True, slots=True)
class Soak:
    """The daemon at one load for minutes.

    Attributes:
        first: resources at the start, all processes together.
        last: resources at the end.
        results: arrived results.
        dropped: frames dropped on purpose.
        missing: lost results.
        late: results that the spool delivered late.
        publish_ms: from capture to publish, over all results.
    """

    streams: int
    seconds: float
    rss_mb: Flatness
    gpu_mb: Flatness | None
    first: Usage
    last: Usage
    results: int
    dropped: int
    missing: int
    late: int
    publish_ms: Percentiles | None = None

    @property
    def dropped_share(self) -> float:
        """Return the share of frames that were dropped or lost."""
        gone = self.dropped + self.missing
        return gone / (self.results + gone) if gone else 0.0

    def cells(self) -> dict[str, str]:
        """Return the figures by name."""
        rss, gpu = self.rss_mb, self.gpu_mb
        cells = {
            "soak": f"{self.streams} streams, {self.seconds / 60:.1f} minutes, {self.results} results",
            "soak: RSS MB, first / median / last": f"{rss.first:.0f} / {rss.middle:.0f} / {rss.last:.0f}",
            "soak: RSS off its median, at most": f"{rss.swing:.2%}",
            "soak: RSS slope, MB per hour": number(rss.slope_an_hour),
            "soak: dropped / lost / late": f"{self.dropped} ({self.dropped_share:.3%}) / {self.missing} / {self.late}",
            "soak: capture to publish ms, p50 / p90 / p95 / p99": latency_text(self.publish_ms),
            "soak: threads, first / last": f"{self.first.threads} / {self.last.threads}",
            "soak: descriptors, first / last": f"{self.first.descriptors} / {self.last.descriptors}",
        }
        if gpu:
            cells["soak: GPU MB, first / last"] = f"{gpu.first:.0f} / {gpu.last:.0f}"
        return cells


class SoakDiary:
    """Collects a soak: the daemon's resources every few seconds, and the arrivals."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._usages: list[Usage] = []
        self._gpu_mb: list[float] = []
        self._publish_ms = array("f")
        self._dropped = self._missing = self._late = 0

    @property
    def results(self) -> int:
        """Return the number of arrived results."""
        return len(self._publish_ms)

    @property
    def looks(self) -> int:
        """Return the number of samples."""
        return len(self._usages)

    def look(self, at_s: float, usage: Usage, gpu: GpuUse | None) -> None:
        """Record the daemon's resources."""
        self._times_s.append(at_s)
        self._usages.append(usage)
        if gpu is not None and gpu.memory_mb:
            self._gpu_mb.append(gpu.memory_mb)

    def book(self, received: Received) -> str:
        """Record a window of arrivals; return a summary of it."""
        streams = received.streams.values()
        publish_ms = [value for each in streams for value in each.publish_ms]
        dropped = sum(each.dropped for each in streams)
        missing = sum(each.missing for each in streams)
        late = sum(each.late for each in streams)
        self._publish_ms.extend(publish_ms)
        self._dropped += dropped
        self._missing += missing
        self._late += late
        latency = Percentiles.of_ms(publish_ms)
        rate = number(len(publish_ms) / received.seconds)
        return (
            f"{rate} results/s, p95 {latency.p95 if latency else 0:.1f} ms, {dropped} dropped, "
            f"{missing} missing, {late} late"
        )

    def close(self, streams: int) -> Soak:
        """Return the report; needs at least one sample."""
        times_s, gpu_mb = self._times_s, self._gpu_mb
        return Soak(
            streams,
            times_s[-1],
            Flatness.of(times_s, [usage.rss_mb for usage in self._usages]),
            Flatness.of(times_s[: len(gpu_mb)], gpu_mb) if gpu_mb else None,
            self._usages[0],
            self._usages[-1],
            self.results,
            self._dropped,
            self._missing - self._late,
            self._late,
            Percentiles.of_ms(self._publish_ms),
        )
