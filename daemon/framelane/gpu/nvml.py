"""Samples the GPUs' health through NVML, the library behind nvidia-smi."""

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
"""nvml.h's nvmlClocksEventReason bits. An idle GPU's slow clock (1) is not a problem."""


class GpuMonitor:
    """Samples GPUs. Values that NVML does not report are None; `sample` never raises.

    Args:
        indices: CUDA's numbers, in this process's environment.
        bus_id: returns the PCI address of a CUDA device. NVML numbers all GPUs of the host, CUDA only those
            in CUDA_VISIBLE_DEVICES, and possibly in another order.
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
            log.warning("gpu_monitor", text=f"the GPUs' health is unknown: {error}")

    def sample(self) -> list[GpuSample]:
        """Return one sample per GPU. Takes some milliseconds, without the interpreter lock."""
        return [_sample(index, handle) for index, handle in self._handles.items()]

    def close(self) -> None:
        """Release NVML."""
        # Not cleared in place: a late sample may still iterate over it.
        self._handles = {}
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
    """Return a value from NVML; None if it is not available, because not every GPU has every sensor."""
    try:
        return ask()
    except pynvml.NVMLError:
        return None


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in REASONS.items() if bits & bit)
