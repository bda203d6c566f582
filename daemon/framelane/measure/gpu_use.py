"""Samples a GPU's activity during a measurement, through the driver; does nothing without a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.gpu.watch import watch_gpus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from framelane.telemetry.gpus import GpuSample


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One GPU over a window; shares are 0 to 1.

    Attributes:
        utilization: share of the time in which a kernel ran, mean of the samples.
        decoder_utilization: the same for the video decoders.
        memory_mb: most memory in use, by all processes.
        power_w: mean power.
        temperature_c: highest temperature.
        throttle_reasons: why its clocks were reduced, if they were.
    """

    name: str
    samples: int
    utilization: float
    decoder_utilization: float
    memory_mb: float
    power_w: float
    temperature_c: float
    throttle_reasons: tuple[str, ...]

    @staticmethod
    def of(samples: Sequence[GpuSample]) -> GpuUse | None:
        """Summarize the samples of one GPU; None without samples."""
        if not samples:
            return None
        return GpuUse(
            name=samples[0].name,
            samples=len(samples),
            utilization=_mean([each.utilization for each in samples]),
            decoder_utilization=_mean([each.decoder_utilization for each in samples]),
            memory_mb=max((each.memory_used_bytes or 0) for each in samples) / 1e6,
            power_w=_mean([each.power_w for each in samples]),
            temperature_c=max((each.temperature_c or 0.0) for each in samples),
            throttle_reasons=tuple(sorted({reason for each in samples for reason in each.throttle_reasons})),
        )


class GpuRecorder:
    """Collects samples: `with GpuRecorder() as gpu: ...; gpu.look(); ...; gpu.take()`."""

    def __init__(self, index: int = 0) -> None:
        self._monitor = watch_gpus([index])
        self._samples: list[GpuSample] = []

    def __enter__(self) -> GpuRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._monitor.close()

    def look(self) -> None:
        """Take a sample."""
        self._samples += self._monitor.sample()

    def take(self) -> GpuUse | None:
        """Return the summary since the last `take`."""
        samples, self._samples = self._samples, []
        return GpuUse.of(samples)


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0
