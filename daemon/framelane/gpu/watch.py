"""Chooses the monitor of the GPUs' health for this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from framelane.telemetry.gpus import NullGpuMonitor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.telemetry.gpus import GpuWatch

log = structlog.get_logger(__name__)


def watch_gpus(indices: Sequence[int]) -> GpuWatch:
    """Return a monitor of these GPUs (CUDA's numbers), or a null monitor without GPUs or NVML."""
    if not indices:
        return NullGpuMonitor()
    try:
        from framelane.gpu.nvml import GpuMonitor  # noqa: PLC0415 - a CPU host lacks pynvml
    except ImportError as error:
        log.warning("gpu_monitor", text=f"the GPUs' health is unknown: {error}; pip install framelane[gpu]")
        return NullGpuMonitor()
    return GpuMonitor(indices)
