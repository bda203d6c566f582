"""One GPU as this process uses it: its primary context, which FFmpeg's decoders, TensorRT and our kernels share."""

from __future__ import annotations

import ctypes
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from framelane.gpu.errors import GpuError, cuda_errors, raise_for
from framelane.gpu.libcuda import initialise, libcuda

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

_SCHED_BLOCKING_SYNC = 4  # CU_CTX_SCHED_BLOCKING_SYNC
_SCHED_MASK = 7  # CU_CTX_SCHED_MASK
_ALREADY_ACTIVE = 708  # CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE


class _Here(threading.local):
    """The devices that were made current on this thread, the innermost last."""

    def __init__(self) -> None:
        self.devices: list[Device] = []


_here = _Here()


class Device:
    """A GPU whose context is held until `close`; `Device.open` makes it.

    A thread that touches the GPU does so inside `with device.current():`.

    Attributes:
        index: its number as nvidia-smi counts, among those that CUDA_VISIBLE_DEVICES leaves.
        name: as NVIDIA calls it.
        capability: compute capability, such as (9, 0).
        memory_bytes: all of its memory.
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
        """Take hold of a GPU's primary context, made such that threads that wait for the GPU sleep.

        FFmpeg wants that flag too, and can't open a decoder on a context without it.

        Raises:
            GpuError: there is no such GPU, or another process has it for itself.
            OutOfMemoryError: it has no memory left even for a context.
        """
        doing = f"GPU {index} can't be opened"
        raise_for(initialise(), doing)
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        with cuda_errors(doing):
            device = cuda.Device(index)
            _sleep_when_waiting(index)
            return Device(index, device, device.retain_primary_context())

    def current(self) -> AbstractContextManager[None]:
        """A block in which this thread's calls go to this GPU; cheap, and free when it is current already.

        The context goes on the driver's own stack, not on PyCUDA's: PyCUDA aborts the process when a thread ends
        with something on its stack, as a daemon thread does when the interpreter ends first.
        """
        return self._current

    @contextmanager
    def pycuda_current(self) -> Iterator[None]:
        """A block in which PyCUDA knows the context too, as making and freeing its objects needs; keep it short."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def free(self, let_go: Callable[[], object]) -> None:
        """Have PyCUDA's objects let go of. What can't be freed went with its context: no error."""
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        with suppress(cuda.Error), self.pycuda_current():
            let_go()

    def memory_used(self) -> int:
        """Bytes in use on the GPU, by all processes."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with self.current():
            code = libcuda().patient.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        raise_for(code, "reading the GPU's memory")
        return total.value - free.value

    def close(self) -> None:
        """Let the context go; what was made in it must be closed before."""
        if self._context is None:
            return
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        context, self._context = self._context, None
        with suppress(cuda.Error):
            # PyCUDA lets a primary context go only on the thread that opened it, or where it is current, and
            # leaves it on the driver's stack.
            context.push()
            context.detach()
            libcuda().quick.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()


class _Current:
    """`Device.current`: holds no state of its own, so that one serves all threads."""

    __slots__ = ("_device",)

    def __init__(self, device: Device) -> None:
        self._device = device

    def __enter__(self) -> None:
        devices = _here.devices
        if not devices or devices[-1] is not self._device:
            raise_for(libcuda().quick.cuCtxPushCurrent_v2(self._device._handle), "entering the GPU's context")  # noqa: SLF001
        devices.append(self._device)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        devices = _here.devices
        devices.pop()
        if not devices or devices[-1] is not self._device:
            # A failure here means a lost context, which the next call on it says.
            libcuda().quick.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


def here() -> Device:
    """The GPU that is current on this thread.

    Raises:
        GpuError: none is; the caller forgot `with device.current():`.
    """
    if not _here.devices:
        raise GpuError("no GPU is current on this thread")
    return _here.devices[-1]


def _sleep_when_waiting(index: int) -> None:
    library = libcuda().patient
    code = library.cuDevicePrimaryCtxSetFlags_v2(index, _SCHED_BLOCKING_SYNC)
    if code == _ALREADY_ACTIVE:  # before CUDA 11, for a context that FFmpeg, say, holds already
        flags, active = ctypes.c_uint(), ctypes.c_int()
        library.cuDevicePrimaryCtxGetState(index, ctypes.byref(flags), ctypes.byref(active))
        if flags.value & _SCHED_MASK == _SCHED_BLOCKING_SYNC:
            return
    raise_for(code, f"GPU {index}: setting the context's flags")
