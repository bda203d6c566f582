"""How a GPU fares, as telemetry shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU at one moment; None where the driver doesn't say.

    Attributes:
        index: as nvidia-smi counts, among those that CUDA_VISIBLE_DEVICES leaves.
        name: as NVIDIA calls it.
        utilization: the share of the last second or less in which a kernel ran, 0 to 1.
        memory_used_bytes: by all processes.
        memory_total_bytes: all there is.
        temperature_c: of the chip.
        decoder_utilization: of NVDEC, 0 to 1.
        power_w: that it draws.
        throttle_reasons: why it is slower than it could be, such as `sw_power_cap`.
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
        """One sample a GPU."""
        ...

    def close(self) -> None:
        """Stop."""
        ...


class NullGpuMonitor:
    """Where no GPU is used, or nobody can tell."""

    def sample(self) -> Sequence[GpuSample]:
        """None."""
        return ()

    def close(self) -> None:
        """Nothing to do."""
