"""Describes what a figure was measured on: machine and versions."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from framelane import __version__

_PACKAGES = ("av", "numpy", "onnxruntime", "opencv-python-headless", "paho-mqtt")
_GPU_PACKAGES = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-cu11", "pycuda")
_DRIVER = Path("/sys/module/nvidia/version")


@dataclass(frozen=True, slots=True)
class Host:
    """A machine and its software.

    Attributes:
        cpu: the processor's own name.
        cores: CPU cores that this process may use.
        memory_mb: memory of the machine.
        load: load average of the last minute before the benchmark, because other work distorts figures.
        system: system and kernel release, as in `uname -r`.
        versions: of Framelane, Python and the main libraries, including GPU software if present.
    """

    cpu: str
    cores: int
    memory_mb: int
    system: str
    load: float
    versions: dict[str, str]

    def __str__(self) -> str:
        listed = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"{self.cpu}, {self.cores} cores, {self.memory_mb} MB, load {self.load:.2f}, {self.system}; {listed}"


def describe_host() -> Host:
    """Describe this machine now."""
    versions = {"framelane": __version__, "python": platform.python_version()}
    return Host(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=psutil.virtual_memory().total // 1_000_000,
        system=f"{platform.system()} {platform.release()}",
        load=os.getloadavg()[0],
        versions=versions | {name: _version(name) for name in _PACKAGES} | _gpu_versions(),
    )


def _cpu() -> str:
    """Return the CPU's name; ARM kernels report no model, so the architecture replaces it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _gpu_versions() -> dict[str, str]:
    found = {name: _version(name) for name in _GPU_PACKAGES}
    if _DRIVER.is_file():
        found["NVIDIA driver"] = _DRIVER.read_text(encoding="ascii", errors="replace").strip()
    return {name: number for name, number in found.items() if number != "none"}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
