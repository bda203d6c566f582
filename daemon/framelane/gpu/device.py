"""One GPU in this process. FFmpeg's decoders, TensorRT and our kernels share its primary context."""

from __future__ import annotations

import ctypes
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from framelane.gpu.errors import GpuError, cuda_errors, raise_for
from framelane.gpu.libcuda import initialize, libcuda

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

# CU_CTX_SCHED_BLOCKING_SYNC.
_SCHED_BLOCKING_SYNC = 4
# CU_CTX_SCHED_MASK.
_SCHED_MASK = 7
# CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE.
_ALREADY_ACTIVE = 708


class _Here(threading.local):
    """The devices that are current on this thread, the innermost last."""

    def __init__(self) -> None:
        self.devices: list[Device] = []


_here = _Here()


class Device:
    """A GPU whose context is held until `close`; created by `Device.open`.

    A thread that uses the GPU does so inside `with device.current():`.

    Attributes:
        index: its number in nvidia-smi's order, among the GPUs in CUDA_VISIBLE_DEVICES.
        name: NVIDIA's name.
        capability: compute capability, such as (9, 0).
        memory_bytes: its total memory.
    """

    def __init__(self, index: int, device: Any, context: Any) -> None:  # noqa: ANN401 - PyCUDA has no types
        self.index = index
        self.name: str = device.name()
        self.capability: tuple[int, int] = tuple(device.compute_capability())
        self.memory_bytes: int = device.total_memory()
        self._context = context
        self._handle = int(context.handle)
        self._current = _Current(self)

    @staticmethod
    def open(index: int = 0) -> Device:
        """Retain a GPU's primary context, with the flag that lets threads sleep while they wait for the GPU.

        FFmpeg needs that flag too, and can't open a decoder on a context without it.

        Raises:
            GpuError: there is no such GPU, or another process uses it exclusively.
            OutOfMemoryError: it has not even memory for a context.
        """
        doing = f"GPU {index} can't be opened"
        raise_for(initialize(), doing)
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        with cuda_errors(doing):
            device = cuda.Device(index)
            _sleep_when_waiting(index)
            return Device(index, device, device.retain_primary_context())

    def current(self) -> AbstractContextManager[None]:
        """Return a context manager that directs this thread's calls to this GPU.

        Cheap, and free if it is current already.

        The context goes on the driver's own stack, not on PyCUDA's. PyCUDA aborts the process if a thread
        ends with something on its stack, which happens to daemon threads when the interpreter ends first.
        """
        return self._current

    @contextmanager
    def pycuda_current(self) -> Iterator[None]:
        """Make the context known to PyCUDA within the block, to create and free its objects.

        Keep it short.
        """
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def free(self, release: Callable[[], object]) -> None:
        """Release PyCUDA's objects.

        An object that can't be freed was lost with its context, which is no error.
        """
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        with suppress(cuda.Error), self.pycuda_current():
            release()

    def memory_used(self) -> int:
        """Return the bytes in use on the GPU, by all processes."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with self.current():
            code = libcuda().without_gil.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        raise_for(code, "reading the GPU's memory")
        return total.value - free.value

    def close(self) -> None:
        """Release the context. Everything created in it must be closed before."""
        if self._context is None:
            return
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        context, self._context = self._context, None
        with suppress(cuda.Error):
            # PyCUDA releases a primary context only on the thread that opened it, or where it is current, and
            # leaves it on the driver's stack.
            context.push()
            context.detach()
            libcuda().with_gil.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()


class _Current:
    """`Device.current`. It holds no state of its own, so one instance serves all threads."""

    __slots__ = ("_device",)

    def __init__(self, device: Device) -> None:
        self._device = device

    def __enter__(self) -> None:
        devices = _here.devices
        if not devices or devices[-1] is not self._device:
            raise_for(
                libcuda().with_gil.cuCtxPushCurrent_v2(self._device._handle),  # noqa: SLF001
                "entering the GPU's context",
            )
        devices.append(self._device)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        devices = _here.devices
        devices.pop()
        if not devices or devices[-1] is not self._device:
            # A failure here means a lost context, which the next call reports.
            libcuda().with_gil.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


def here() -> Device:
    """Return the GPU that is current on this thread.

    Raises:
        GpuError: none is; the caller forgot `with device.current():`.
    """
    if not _here.devices:
        raise GpuError("no GPU is current on this thread")
    return _here.devices[-1]


def _sleep_when_waiting(index: int) -> None:
    library = libcuda().without_gil
    code = library.cuDevicePrimaryCtxSetFlags_v2(index, _SCHED_BLOCKING_SYNC)
    # Before CUDA 11, if another library (such as FFmpeg) holds a context already.
    if code == _ALREADY_ACTIVE:
        flags, active = ctypes.c_uint(), ctypes.c_int()
        library.cuDevicePrimaryCtxGetState(index, ctypes.byref(flags), ctypes.byref(active))
        if flags.value & _SCHED_MASK == _SCHED_BLOCKING_SYNC:
            return
    raise_for(code, f"GPU {index}: setting the context's flags")
