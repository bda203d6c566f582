"""Samples of the GPUs' health: which GPU is asked, and what remains when NVML doesn't answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from framelane.gpu.watch import watch_gpus
from framelane.telemetry.gpus import GpuSample, NullGpuMonitor

pynvml = pytest.importorskip("pynvml")
nvml = pytest.importorskip("framelane.gpu.nvml")

WHERE = {0: "0000:0a:00.0", 1: "0000:0b:00.0"}
GOOD: dict[str, Any] = {
    "nvmlInit": None,
    "nvmlShutdown": None,
    "nvmlDeviceGetName": "NVIDIA Test 100",
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=3 << 30, total=80 << 30, free=77 << 30),
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=73, memory=20),
    "nvmlDeviceGetTemperature": 61,
    "nvmlDeviceGetDecoderUtilization": [40, 166667],
    "nvmlDeviceGetPowerUsage": 312_400,
    "nvmlDeviceGetCurrentClocksThrottleReasons": 0x1 | 0x4 | 0x40,
}
FULL = GpuSample(
    1, "NVIDIA Test 100", 0.73, 3 << 30, 80 << 30, 61.0, 0.4, 312.4, ("sw_power_cap", "hw_thermal")
)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What NVML says by function; an exception is raised."""
    said = dict(GOOD)

    def answering(name: str) -> Any:
        def call(*_: object) -> Any:
            if isinstance(said[name], Exception):
                raise said[name]
            return said[name]

        return call

    for name in GOOD:
        assert hasattr(pynvml, name)
        monkeypatch.setattr(pynvml, name, answering(name))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByPciBusId", lambda where: f"handle of {where}")
    return said


def test_sample_has_everything_nvml_says(answers: dict[str, Any]) -> None:
    monitor = nvml.GpuMonitor([1], WHERE.get)
    assert monitor._handles == {1: "handle of 0000:0b:00.0"}
    assert monitor.sample() == [FULL]
    monitor.close()
    monitor.close()
    assert monitor.sample() == []


@pytest.mark.parametrize("silent", [name for name in GOOD if name.startswith("nvmlDevice")])
def test_sample_lacks_only_what_nvml_does_not_say(answers: dict[str, Any], silent: str) -> None:
    answers[silent] = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    [sample] = nvml.GpuMonitor([1], WHERE.get).sample()
    fields = [name for name in GpuSample.__slots__ if getattr(sample, name) != getattr(FULL, name)]
    expected = {"nvmlDeviceGetMemoryInfo": 2}.get(silent, 1)
    assert len(fields) == expected
    assert all(getattr(sample, name) in (None, "", ()) for name in fields)


def test_monitor_is_empty_where_there_is_no_nvml(answers: dict[str, Any]) -> None:
    answers["nvmlInit"] = pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    monitor = nvml.GpuMonitor([0], WHERE.get)
    assert monitor.sample() == []
    monitor.close()


def test_monitor_leaves_out_what_cuda_does_not_know(answers: dict[str, Any]) -> None:
    assert [sample.index for sample in nvml.GpuMonitor([0, 7], WHERE.get).sample()] == [0]


def test_nothing_is_watched_where_no_gpu_is_used() -> None:
    assert isinstance(watch_gpus([]), NullGpuMonitor)
    assert watch_gpus([]).sample() == ()


@pytest.mark.parametrize("bit", sorted(nvml.REASONS))
def test_reasons_are_bits_that_nvml_knows(bit: int) -> None:
    known = {getattr(pynvml, name) for name in dir(pynvml) if name.startswith("nvmlClocksThrottleReason")}
    assert bit in known
