"""Devices, memory, streams, graphs and errors on a real GPU."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.gpu.device.here import needs_gpu

from framelane.gpu.errors import OutOfMemoryError
from framelane.gpu.graph import capture
from framelane.gpu.memory import DeviceBuffer, PinnedBuffer
from framelane.gpu.stream import Event, Stream

if TYPE_CHECKING:
    from framelane.gpu.device import Device

pytestmark = [pytest.mark.gpu, needs_gpu]

ROOT = Path(__file__).parents[3]
SIZE = 1 << 20
# A kernel that traps leaves the context unusable.
LOSE_THE_GPU = """
import sys
import pycuda.driver as cuda
from framelane.gpu.device import Device
from framelane.gpu.errors import DeviceLostError
from framelane.gpu.memory import DeviceBuffer
from framelane.gpu.stream import Stream

PTX = b".version 6.0\\n.target sm_60\\n.address_size 64\\n.visible .entry lose()\\n{\\n  trap;\\n}\\n\\0"
device = Device.open()
try:
    with device.current():
        stream, buffer = Stream(), DeviceBuffer(1024)
        with device.pycuda_current():
            kernel = cuda.module_from_buffer(PTX).get_function("lose")
            kernel.prepare("").prepared_async_call((1, 1), (1, 1, 1), stream.pycuda)
        stream.synchronize()
except DeviceLostError as error:
    print(error)
    buffer.close()
    stream.close()
    device.close()
    sys.exit(error.exit_code)
"""


def test_device_says_what_it_is(device: Device) -> None:
    assert device.name.startswith("NVIDIA") or device.name
    assert device.capability >= (6, 0)
    assert 0 < device.memory_used() < device.memory_bytes


def test_copies_there_and_back_when_pinned(device: Device, stream: Stream) -> None:
    near, far, back = PinnedBuffer(SIZE), DeviceBuffer(SIZE), PinnedBuffer(SIZE)
    near.array[:] = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8)
    stream.copy_in(far.address, near.address, SIZE)
    stream.copy_out(back.address, far.address, SIZE)
    stream.synchronize()

    assert (near.array == back.array).all()
    for buffer in (near, far, back):
        buffer.close()
        buffer.close()


def test_graph_does_its_work_again_when_its_input_has_changed(device: Device, stream: Stream) -> None:
    near, far, back = PinnedBuffer(SIZE), DeviceBuffer(SIZE), PinnedBuffer(SIZE)

    def work() -> None:
        stream.copy_in(far.address, near.address, SIZE)
        stream.copy_out(back.address, far.address, SIZE)

    graph = capture(stream, work)
    back.array[:] = 0
    for value in (7, 9):
        near.array[:] = value
        graph.launch(stream)
        stream.synchronize()
        assert (back.array == value).all()
    graph.close()
    for buffer in (near, far, back):
        buffer.close()


def test_events_order_streams_and_tell_time(device: Device, stream: Stream) -> None:
    near, far = PinnedBuffer(SIZE), DeviceBuffer(SIZE)
    other, begin, end = Stream(), Event(timing=True), Event(timing=True)
    begin.record(stream)
    stream.copy_in(far.address, near.address, SIZE)
    end.record(stream)
    other.wait_for(end)
    other.synchronize()

    assert end.done
    assert 0 < end.ms_since(begin) < 1000
    for thing in (begin, end, other, near, far):
        thing.close()


def test_every_thread_may_use_the_device(device: Device) -> None:
    failed: list[BaseException] = []

    def use() -> None:
        try:
            with device.current():
                DeviceBuffer(SIZE).close()
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_too_much_memory_is_refused_and_costs_nothing(device: Device) -> None:
    size = device.memory_bytes * 2
    with pytest.raises(OutOfMemoryError, match=f"{size} bytes on GPU 0: .*out of memory"):
        DeviceBuffer(size)

    DeviceBuffer(SIZE).close()


def test_process_ends_with_70_when_the_gpu_is_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOSE_THE_GPU],
        cwd=ROOT / "daemon",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 70, done.stderr
    assert "the GPU is lost to this process" in done.stdout
