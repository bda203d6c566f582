"""How the GPUs fare, by NVML, which is what nvidia-smi asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pynvml
import structlog

from framelane.gpu.libcuda import pci_bus_id
from framelane.telemetry.gpus import GpuSample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = structlog.get_logger(__name__)

T = TypeVar("T")

REASONS = {
    0x2: "applications_clocks",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "hw_power_brake",
    0x100: "display_clocks",
}
"""nvml.h's nvmlClocksEventReason bits; an idle GPU's slow clock (1) is no reason to worry."""


class GpuMonitor:
    """Samples some GPUs. What NVML doesn't tell is None in the sample; `sample` never raises.

    Args:
        indices: as CUDA numbers them, in this process's environment.
        bus_id: where CUDA's device with that number sits. NVML numbers all GPUs of the host, CUDA only those that
            CUDA_VISIBLE_DEVICES leaves, and perhaps in another order.
    """

    def __init__(self, indices: Iterable[int], bus_id: Callable[[int], str | None] = pci_bus_id) -> None:
        self._open = False
        self._handles: dict[int, Any] = {}
        try:
            pynvml.nvmlInit()
            self._open = True
            for index in indices:
                where = bus_id(index)
                if where is not None:
                    self._handles[index] = pynvml.nvmlDeviceGetHandleByPciBusId(where)
        except pynvml.NVMLError as error:
            log.warning("gpu_monitor", text=f"the GPUs' health is not known: {error}")

    def sample(self) -> list[GpuSample]:
        """One sample a GPU. Takes some milliseconds, without the interpreter lock."""
        return [_sample(index, handle) for index, handle in self._handles.items()]

    def close(self) -> None:
        """Let NVML go."""
        self._handles = {}  # not cleared: a sample that is late may go through them
        if self._open:
            self._open = False
            _told(pynvml.nvmlShutdown)


def _sample(index: int, handle: Any) -> GpuSample:  # noqa: ANN401 - NVML's handle
    memory = _told(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
    return GpuSample(
        index=index,
        name=_told(lambda: str(pynvml.nvmlDeviceGetName(handle))) or "",
        utilization=_told(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
        memory_used_bytes=None if memory is None else int(memory.used),
        memory_total_bytes=None if memory is None else int(memory.total),
        temperature_c=_told(
            lambda: float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
        ),
        decoder_utilization=_told(lambda: pynvml.nvmlDeviceGetDecoderUtilization(handle)[0] / 100),
        power_w=_told(lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3),
        throttle_reasons=_told(lambda: _reasons(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)))
        or (),
    )


def _told(ask: Callable[[], T]) -> T | None:
    """What NVML says, or None where it doesn't: not every GPU has every sensor."""
    try:
        return ask()
    except pynvml.NVMLError:
        return None


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in REASONS.items() if bits & bit)
