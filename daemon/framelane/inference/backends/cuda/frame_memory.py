"""Device memory for copies of frames: one block per frame, bounded, and used again."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from framelane.gpu.errors import OutOfMemoryError
from framelane.gpu.memory import DeviceBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_BYTES = 256 << 20
"""Most device memory for copies of frames, per model: 80 of 1920 x 1080."""
_STEP = 64 << 10
"""Sizes of blocks are multiples of this, so that frames of almost the same size share them."""
_REST_S = 10.0
"""Least seconds between two times that free blocks make room for those of another size."""


class Block:
    """Device memory that returns to its pool with the last reference.

    Attributes:
        address: where it is; 256-byte aligned.
    """

    __slots__ = ("_buffer", "_returned", "address")

    def __init__(self, buffer: DeviceBuffer, returned: deque[DeviceBuffer]) -> None:
        self.address = buffer.address
        self._buffer = buffer
        self._returned = returned

    def __del__(self) -> None:
        # Takes no lock: the last reference may go anywhere.
        self._returned.append(self._buffer)


class FrameMemory:
    """Blocks of device memory, taken by any thread on which the device is current.

    Args:
        most_bytes: most memory of all blocks.
        monotonic: returns seconds.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.bytes = 0
        """Memory of all blocks, taken or not."""
        self._most_bytes = most_bytes
        self._monotonic = monotonic
        self._discarded_s = float("-inf")
        self._lock = threading.Lock()
        self._returned: deque[DeviceBuffer] = deque()
        self._free: dict[int, list[DeviceBuffer]] = {}
        self._all: set[DeviceBuffer] = set()

    def take(self, size: int) -> Block | None:
        """Return a block of at least `size` bytes; None if there is no room."""
        size = -(-size // _STEP) * _STEP
        with self._lock:
            while self._returned:
                returned = self._returned.popleft()
                if returned in self._all:
                    self._free.setdefault(returned.size, []).append(returned)
            free = self._free.get(size)
            buffer = free.pop() if free else self._make(size)
        return None if buffer is None else Block(buffer, self._returned)

    def close(self) -> None:
        """Free all blocks, taken or not; nothing may use them any more. May be called twice."""
        with self._lock:
            self._free.clear()
            self._returned.clear()
            self._discard(list(self._all))

    def _make(self, size: int) -> DeviceBuffer | None:
        if self.bytes + size > self._most_bytes:
            self._make_room()
        if self.bytes + size > self._most_bytes:
            return None
        try:
            buffer = DeviceBuffer(size)
        except OutOfMemoryError:
            return None
        self._all.add(buffer)
        self.bytes += size
        return buffer

    def _make_room(self) -> None:
        """Free what is not taken: cameras have other sizes than before."""
        # To free memory waits for the GPU. Cameras of two sizes would otherwise take it from each other all
        # the time.
        if self._monotonic() - self._discarded_s >= _REST_S:
            self._discarded_s = self._monotonic()
            self._discard([buffer for free in self._free.values() for buffer in free])
            self._free.clear()

    def _discard(self, buffers: Iterable[DeviceBuffer]) -> None:
        for buffer in buffers:
            self._all.discard(buffer)
            self.bytes -= buffer.size
            buffer.close()
