"""Stands in for GPU memory and streams with the host's own: addresses are real, copies happen at once."""

from __future__ import annotations

import ctypes

import numpy as np


class HostBuffer:
    """Both a DeviceBuffer and a PinnedBuffer. Filled with rubbish, as fresh memory may be."""

    open_now = 0

    def __init__(self, size: int) -> None:
        self.size = size
        self._memory = np.full(size + 256, 0xA5, np.uint8)
        start = -self._memory.ctypes.data % 256
        self.array = self._memory[start : start + size]
        self.address = int(self.array.ctypes.data)
        HostBuffer.open_now += 1

    def close(self) -> None:
        assert self.address, "closed twice"
        self.array[:] = 0xEE
        self.address = 0
        HostBuffer.open_now -= 1


class HostStream:
    """Does everything at once."""

    def __init__(self) -> None:
        self.copies: list[int] = []

    def copy_in(self, dst: int, src: int, size: int) -> None:
        self.copies.append(size)
        ctypes.memmove(dst, src, size)

    copy_out = copy_in

    def synchronize(self) -> None:
        pass

    def close(self) -> None:
        pass


class HostEvent:
    """Passed as soon as it is recorded."""

    done = True

    def record(self, stream: HostStream | None) -> None:
        pass

    def wait(self) -> None:
        pass

    def close(self) -> None:
        pass
