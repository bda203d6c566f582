"""Figures of a node with and without a second model: counts and CPU time, window by window."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.measure.gpu_use import GpuUse
    from framelane.telemetry.meters import Counts


class Moment(NamedTuple):
    """All counts at one time, and the CPU seconds so far of all threads of all processes, by thread name."""

    counts: Counts
    at_s: float
    threads_s: dict[str, float]

    @staticmethod
    def now(counts: Counts) -> Moment:
        """Return this moment, with counts that were just taken."""
        return Moment(counts, time.monotonic(), threads_s())


@dataclass
class Sum:
    """Figures of all windows of one kind."""

    seconds: float = 0.0
    inferred: int = 0
    replaced: int = 0
    sent: int = 0
    answered: int = 0
    latency_s: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    threads_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    gpu: list[GpuUse] = field(default_factory=list)

    def add(self, before: Moment, after: Moment, gpu: GpuUse | None = None) -> None:
        """Add a window."""
        self.seconds += after.at_s - before.at_s
        for name, spent_s in after.threads_s.items():
            self.threads_s[name] += spent_s - before.threads_s.get(name, 0.0)
        if gpu is not None:
            self.gpu.append(gpu)
        for sign, counts in ((-1, before.counts), (1, after.counts)):
            for stream in counts.streams.values():
                self.inferred += sign * stream.inferred
                self.replaced += sign * stream.dropped["replaced"]
                for crops in stream.crops.values():
                    self.sent += sign * crops.sent
                    self.answered += sign * crops.answered
                    self.latency_s += sign * crops.latency.total
                    for reason, count in crops.dropped.items():
                        self.dropped[reason] += sign * count

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all threads."""
        return sum(self.threads_s.values())

    @property
    def rate(self) -> float:
        """Frames per second that the first model inferred."""
        return self.inferred / self.seconds

    def per_frame_ms(self, *threads: str) -> float:
        """Return the CPU time of these threads for each frame that the first model inferred."""
        spent_s = sum(spent for name, spent in self.threads_s.items() if name.startswith(threads))
        return 1e3 * spent_s / max(self.inferred, 1)

    def as_json(self) -> dict[str, Any]:
        """Return the figures; rates are per second."""
        return {
            "first_fps": round(self.rate, 2),
            "replaced": self.replaced,
            "cpu_cores": round(self.cpu_s / self.seconds, 3),
            "crops_per_s": round(self.sent / self.seconds, 2),
            "answered_per_s": round(self.answered / self.seconds, 2),
            "latency_ms": round(1e3 * self.latency_s / self.answered, 1) if self.answered else None,
            "dropped": {reason: count for reason, count in self.dropped.items() if count},
            "delivery_ms_per_frame": round(self.per_frame_ms("deliver-street"), 3),
            "second_ms_per_frame": round(self.per_frame_ms("infer-second", "deliver-second"), 3),
            "cpu_ms_per_frame": round(1e3 * self.cpu_s / max(self.inferred, 1), 3),
            "gpu_busy": _mean([each.utilization for each in self.gpu]),
            "nvdec_busy": _mean([each.decoder_utilization for each in self.gpu]),
        }


def threads_s() -> dict[str, float]:
    """Return the CPU seconds of the threads of this process and its children, by name without a slot's number."""
    found: defaultdict[str, float] = defaultdict(float)
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        for name, spent_s in _threads_of(process):
            found[name] += spent_s
    return found


def _threads_of(process: psutil.Process) -> Iterator[tuple[str, float]]:
    with suppress(psutil.Error):
        for thread in process.threads():
            with suppress(OSError):
                name = Path(f"/proc/{process.pid}/task/{thread.id}/comm").read_text("utf-8", "replace")
                yield name.strip().rstrip("-0123456789"), thread.user_time + thread.system_time


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None
