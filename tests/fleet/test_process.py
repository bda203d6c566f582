"""What a worker process gets in its environment, and how its end is described."""

from __future__ import annotations

import pytest

from framelane.fleet.process import described, environment_of, gpu_variables
from framelane.fleet.share import Share


@pytest.mark.parametrize(
    ("gpu", "environ", "expected"),
    [
        (None, {"CUDA_VISIBLE_DEVICES": "1"}, {}),
        (2, {}, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "2"}),
        (
            1,
            {"CUDA_VISIBLE_DEVICES": "4, 6"},
            {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "6"},
        ),
        (2, {"CUDA_VISIBLE_DEVICES": "4,6"}, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ""}),
        (
            0,
            {"CUDA_VISIBLE_DEVICES": "GPU-8f0", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"},
            {"CUDA_DEVICE_ORDER": "FASTEST_FIRST", "CUDA_VISIBLE_DEVICES": "GPU-8f0"},
        ),
    ],
)
def test_worker_sees_its_gpu_alone(
    gpu: int | None, environ: dict[str, str], expected: dict[str, str]
) -> None:
    assert gpu_variables(gpu, environ) == expected


def test_worker_can_ask_systemd_for_time_and_has_no_watchdog_to_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "HOME"):
        monkeypatch.setenv(name, "there")
    environ = environment_of(Share(0, None, ("a",)))
    assert (environ["NOTIFY_SOCKET"], environ["HOME"]) == ("there", "there")
    assert not environ.keys() & {"WATCHDOG_USEC", "WATCHDOG_PID"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with code 0"),
        (70, "ended with code 70"),
        (-11, "was ended by signal SIGSEGV"),
        (-99, "was ended by signal 99"),
        (None, "does not end"),
    ],
)
def test_end_of_a_worker_is_described(code: int | None, words: str) -> None:
    assert described(code) == words
