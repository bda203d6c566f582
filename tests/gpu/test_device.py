"""Contexts, memory, streams, events, graphs and kernels, on fakes: what is called, and what is let go."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.gpu import fake_cuda
from tests.gpu.fake_cuda import FakeContext, FakeLibrary, LaunchError, LogicError

from framelane.gpu.device import Device, here
from framelane.gpu.errors import DeviceLostError, GpuError, OutOfMemoryError
from framelane.gpu.graph import capture
from framelane.gpu.memory import DeviceBuffer, PinnedBuffer
from framelane.gpu.module import Kernels, layouts
from framelane.gpu.stream import Event, Stream
from framelane.inference.backends.cuda.kernels import ptx

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    return fake_cuda.install(monkeypatch)


@pytest.fixture
def device(library: FakeLibrary) -> Iterator[Device]:
    with Device.open() as opened:
        library.calls.clear()
        yield opened


def test_open_sets_the_flag_that_ffmpeg_wants_before_it_takes_the_context(library: FakeLibrary) -> None:
    with Device.open(0) as device:
        assert library.calls == [("cuDevicePrimaryCtxSetFlags_v2", 0, 4)]
        assert (device.name, device.capability, device.memory_bytes) == ("NVIDIA Test 100", (9, 0), 80 << 30)


@pytest.mark.parametrize(("flags", "good"), [(4, True), (0, False)])
def test_open_accepts_an_active_context_when_it_has_the_flag(
    library: FakeLibrary, flags: int, *, good: bool
) -> None:
    library.answers["cuDevicePrimaryCtxSetFlags_v2"] = 708
    library.writes["cuDevicePrimaryCtxGetState"] = [flags, 1]
    if good:
        Device.open().close()
    else:
        with pytest.raises(GpuError, match="708"):
            Device.open()


def test_open_says_which_gpu_when_there_is_none_such(library: FakeLibrary) -> None:
    with pytest.raises(GpuError, match="GPU 7 can't be opened: cuDeviceGet failed: invalid device ordinal"):
        Device.open(7)


def test_close_lets_the_context_go_once_and_leaves_no_stack(library: FakeLibrary) -> None:
    device = Device.open()
    context = device._context
    device.close()
    device.close()
    assert context.detached
    assert FakeContext.stack == []
    assert library.names()[-1] == "cuCtxPopCurrent_v2"


def test_current_pushes_once_a_thread_however_deep(device: Device, library: FakeLibrary) -> None:
    def nested() -> None:
        with device.current(), device.current():
            assert here() is device

    nested()
    thread = threading.Thread(target=nested)
    thread.start()
    thread.join()
    assert library.names() == ["cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2"] * 2
    assert FakeContext.stack == []


def test_nothing_is_made_where_no_gpu_is_current(library: FakeLibrary) -> None:
    for make in (lambda: DeviceBuffer(1), lambda: PinnedBuffer(1), Stream, Event):
        with pytest.raises(GpuError, match="no GPU is current on this thread"):
            make()


def test_memory_used_is_what_is_not_free(device: Device, library: FakeLibrary) -> None:
    library.writes["cuMemGetInfo_v2"] = [30, 100]
    assert device.memory_used() == 70


def test_buffers_give_their_memory_back_once(device: Device) -> None:
    with device.current():
        buffer, pinned = DeviceBuffer(64), PinnedBuffer(64)
    memory = buffer._memory
    held = pinned._memory
    assert buffer.address == 0x7F0000000000
    assert pinned.address == fake_cuda.address_of(pinned.array)
    assert (pinned.array.shape, pinned.array.dtype) == ((64,), np.uint8)
    for each in (buffer, buffer, pinned, pinned):
        each.close()
    assert (memory.freed, held.freed) == (1, 1)
    assert (buffer.address, pinned.address, pinned.array.size) == (0, 0, 0)


def test_device_buffer_says_how_much_when_there_is_not_so_much(device: Device) -> None:
    with (
        device.current(),
        pytest.raises(OutOfMemoryError, match="99000000000 bytes on GPU 0: cuMemAlloc failed"),
    ):
        DeviceBuffer(99_000_000_000)


def test_closing_stays_quiet_when_the_context_is_lost(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    with device.current():
        buffer, stream, event = DeviceBuffer(64), Stream(), Event()

    def refuse(_self: FakeContext) -> None:
        raise LaunchError("cuCtxPushCurrent failed: unspecified launch failure")

    monkeypatch.setattr(FakeContext, "push", refuse)
    for each in (buffer, stream, event):
        each.close()


def test_streams_do_not_block_and_events_sleep(device: Device) -> None:
    with device.current():
        stream, event, timed = Stream(), Event(), Event(timing=True)
        assert (stream.pycuda.flags, event.pycuda.flags, timed.pycuda.flags) == (1, 3, 1)
        event.record(None)
        event.record(stream)
        stream.wait_for(event)
        event.wait()
        assert event.pycuda.recorded == [None, stream.pycuda]
        assert stream.pycuda.waits == [event.pycuda]
        assert event.done
        assert timed.ms_since(timed) == 1.5
        for each in (stream, event, timed, stream):
            each.close()


def test_copies_go_by_address_in_the_stream(device: Device, library: FakeLibrary) -> None:
    with device.current():
        stream = Stream()
        library.calls.clear()
        stream.copy_in(1, 2, 3)
        stream.copy_out(4, 5, 6)
        assert library.calls == [
            ("cuMemcpyHtoDAsync_v2", 1, 2, 3, 0x2000),
            ("cuMemcpyDtoHAsync_v2", 4, 5, 6, 0x2000),
        ]
        library.answers["cuMemcpyHtoDAsync_v2"] = 1
        with pytest.raises(GpuError, match="copying to the GPU"):
            stream.copy_in(1, 2, 3)
        stream.close()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (LaunchError("cuStreamSynchronize failed: unspecified launch failure"), DeviceLostError),
        (LogicError("cuStreamSynchronize failed: invalid argument"), GpuError),
    ],
)
def test_synchronize_tells_a_lost_gpu_from_a_lost_batch(
    device: Device, fault: fake_cuda.Error, kind: type[Exception]
) -> None:
    with device.current():
        stream = Stream()
        stream.pycuda.fault = fault
        with pytest.raises(kind, match="waiting for the GPU"):
            stream.synchronize()
        stream.close()


def test_capture_records_and_launches(device: Device, library: FakeLibrary) -> None:
    with device.current():
        stream = Stream()
        library.calls.clear()
        graph = capture(stream, lambda: library.calls.append(("work",)))
        assert library.calls == [
            ("cuStreamBeginCapture_v2", 0x2000, 1),
            ("work",),
            ("cuStreamEndCapture", 0x2000),
            ("cuGraphInstantiateWithFlags", 0),
            ("cuGraphDestroy",),
            ("cuGraphUpload", 0x2000),
        ]
        library.calls.clear()
        graph.launch(stream)
        graph.close()
        graph.close()
        assert library.calls == [("cuGraphLaunch", 0x40, 0x2000), ("cuGraphExecDestroy", 0x40)]


def test_capture_ends_and_destroys_when_the_work_raises(device: Device, library: FakeLibrary) -> None:
    def work() -> None:
        raise ValueError("no")

    with device.current():
        stream = Stream()
        library.answers["cuStreamEndCapture"] = 901
        library.calls.clear()
        with pytest.raises(ValueError, match="no"):
            capture(stream, work)
        assert library.names() == ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphDestroy"]


@pytest.mark.parametrize(
    ("function", "after"),
    [
        ("cuStreamBeginCapture_v2", []),
        ("cuStreamEndCapture", ["cuGraphDestroy"]),
        ("cuGraphInstantiateWithFlags", ["cuGraphDestroy"]),
        ("cuGraphUpload", ["cuGraphExecDestroy"]),
    ],
)
def test_capture_leaves_nothing_behind_when_a_call_fails(
    device: Device, library: FakeLibrary, function: str, after: list[str]
) -> None:
    with device.current():
        stream = Stream()
        library.calls.clear()
        library.answers[function] = 901
        with pytest.raises(GpuError, match="CUDA graph"):
            capture(stream, lambda: None)
        assert library.names()[library.names().index(function) + 1 :] == after


def test_kernels_take_what_the_ptx_says(device: Device) -> None:
    with device.current():
        kernels, stream = Kernels.load(device, ptx()), Stream()
        name = "framelane_forget_candidates"
        kernels.launch(
            name, (2, 1, 1), (256, 1, 1), stream, np.uint64(0x7F0000000000), np.int32(-3), shared=16
        )
        [(grid, block, packed, shared, where)] = kernels._kernels[name].function.launches
        assert (grid, block, shared, where) == ((2, 1, 1), (256, 1, 1), 16, stream.pycuda)
        assert packed == np.uint64(0x7F0000000000).tobytes() + np.int32(-3).tobytes()
        with pytest.raises(GpuError, match="pack expected 2 items"):
            kernels.launch(name, (1, 1, 1), (1, 1, 1), stream, np.uint64(1))
        with pytest.raises(GpuError, match=f"{name}: required argument is not an integer"):
            kernels.launch(name, (1, 1, 1), (1, 1, 1), stream, np.uint64(1), np.float32(1))
        with pytest.raises(GpuError, match="there is no kernel nothing"):
            kernels.launch("nothing", (1, 1, 1), (1, 1, 1), stream)
        kernels.close()
        kernels.close()


@pytest.mark.parametrize(
    ("parameters", "layout"),
    [
        ("\n\t.param .u64 k_param_0,\n\t.param .u32 k_param_1\n", "=qi"),
        (".param .u32 a, .param .f32 b, .param .u64 c", "=ifq"),
        (".param .u32 a, .param .u64 c, .param .f64 d", "=ixxxxqd"),
        (".param .u64 .ptr .global .align 16 a", "=q"),
        ("", "="),
    ],
)
def test_layouts_align_arguments_as_cuda_does(parameters: str, layout: str) -> None:
    assert layouts(f".visible .entry k({parameters})\n{{ ret; }}") == {"k": layout}


@pytest.mark.parametrize("parameter", [".param .align 4 .b8 a[12]", ".param .u16 a"])
def test_layouts_refuse_what_they_can_not_pack(parameter: str) -> None:
    with pytest.raises(GpuError, match="k: a parameter of type"):
        layouts(f".visible .entry k({parameter})")
