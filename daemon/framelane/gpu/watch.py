"""Which monitor of the GPUs' health this host has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from framelane.telemetry.gpus import NullGpuMonitor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.telemetry.gpus import GpuWatch

log = structlog.get_logger(__name__)


def watch_gpus(indices: Sequence[int]) -> GpuWatch:
    """A monitor of these GPUs, as CUDA numbers them; of none where there are none, or no NVML to ask."""
    if not indices:
        return NullGpuMonitor()
    try:
        from framelane.gpu.nvml import GpuMonitor  # noqa: PLC0415 - a CPU host lacks pynvml
    except ImportError as error:
        log.warning("gpu_monitor", text=f"the GPUs' health is not known: {error}; pip install framelane[gpu]")
        return NullGpuMonitor()
    return GpuMonitor(indices)
