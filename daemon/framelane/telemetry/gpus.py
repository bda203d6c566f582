"""Samples of GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU at one moment; values that the driver doesn't report are None.

    Attributes:
        index: nvidia-smi's number, among the GPUs that CUDA_VISIBLE_DEVICES leaves.
        name: NVIDIA's product name.
        utilization: the share of the last second or less in which a kernel ran, 0 to 1.
        memory_used_bytes: memory in use by all processes.
        memory_total_bytes: total memory.
        temperature_c: temperature of the chip.
        decoder_utilization: utilization of NVDEC, 0 to 1.
        power_w: power drawn.
        throttle_reasons: why it is slowed down, such as `sw_power_cap`.
    """

    index: int
    name: str
    utilization: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_c: float | None = None
    decoder_utilization: float | None = None
    power_w: float | None = None
    throttle_reasons: tuple[str, ...] = ()


class GpuWatch(Protocol):
    """Samples the GPUs in use."""

    def sample(self) -> Sequence[GpuSample]:
        """Return one sample per GPU."""
        ...

    def close(self) -> None:
        """Stop sampling."""
        ...


class NullGpuMonitor:
    """Samples nothing: no GPU is used, or NVML is missing."""

    def sample(self) -> Sequence[GpuSample]:
        """Return no samples."""
        return ()

    def close(self) -> None:
        """Do nothing."""
