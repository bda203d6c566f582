"""Owned memory: on the GPU, and on the host in a form that the GPU can read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from framelane.gpu.device import here
from framelane.gpu.errors import cuda_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray


class DeviceBuffer:
    """`size` bytes on the current GPU, 256-byte aligned, with undefined content.

    Raises:
        OutOfMemoryError: the GPU has not enough memory.
    """

    def __init__(self, size: int) -> None:
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        self.size = size
        self._device = here()
        with cuda_errors(f"{size} bytes on GPU {self._device.index}"), self._device.pycuda_current():
            self._memory: Any = cuda.mem_alloc(size)
        self.address = int(self._memory)

    def close(self) -> None:
        """Free the memory, after waiting until the GPU no longer uses it."""
        memory, self._memory = self._memory, None
        if memory is not None:
            self.address = 0
            self._device.free(memory.free)


class PinnedBuffer:
    """`size` bytes of pinned host memory, so that copies to and from the GPU need no waiting.

    Attributes:
        array: the bytes. After `close`, neither it nor a view of it may be used.

    Raises:
        OutOfMemoryError: the host can't pin that much.
    """

    def __init__(self, size: int) -> None:
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        self.size = size
        self._device = here()
        with cuda_errors(f"{size} bytes of pinned memory"), self._device.pycuda_current():
            self.array: NDArray[np.uint8] = cuda.pagelocked_empty(size, np.uint8)
        self._memory: Any = self.array.base
        self.address = int(self.array.ctypes.data)

    def close(self) -> None:
        """Free the memory."""
        memory, self._memory = self._memory, None
        if memory is not None:
            self.array, self.address = np.empty(0, np.uint8), 0
            self._device.free(memory.free)
