"""The GPU of a process: opened late, once, closed after its kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.inference.backends.cuda.fake_gpu import FakeDevice, Journal

from framelane.gpu.device import Device
from framelane.gpu.module import Kernels
from framelane.inference.backends.cuda.shared_gpu import SharedGpu

if TYPE_CHECKING:
    from collections.abc import Callable


class OpenDevice(FakeDevice):
    def close(self) -> None:
        self.journal.note("close device")


class LoadedKernels:
    def __init__(self, close: Callable[[], None]) -> None:
        self.close = close


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal = Journal()

    def open_device(index: int) -> OpenDevice:
        journal.note(f"open device {index}")
        return OpenDevice(journal)

    def load(device: OpenDevice, _ptx: bytes) -> LoadedKernels:
        journal.note("load kernels")
        return LoadedKernels(lambda: journal.note("close kernels"))

    monkeypatch.setattr(Device, "open", open_device)
    monkeypatch.setattr(Kernels, "load", load)
    return journal


def test_nothing_is_opened_before_it_is_asked_for(journal: Journal) -> None:
    SharedGpu(1).close()
    assert journal.done == []


def test_device_and_kernels_are_opened_once_and_closed_kernels_first(journal: Journal) -> None:
    gpu = SharedGpu(1)
    assert gpu.device is gpu.device
    assert gpu.kernels is gpu.kernels
    gpu.close()
    gpu.close()
    assert [step for step in journal.done if "current" not in step] == [
        "open device 1",
        "load kernels",
        "close kernels",
        "close device",
    ]
