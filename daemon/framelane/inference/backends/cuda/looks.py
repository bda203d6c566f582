"""Measures on the GPU how sharp the objects of copied frames are, without anyone waiting for it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from framelane.gpu.stream import Event
from framelane.inference.backends.cuda.copy_tables import LOOK, launch_sharpness
from framelane.inference.backends.cuda.twin_buffer import TwinBuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.gpu.stream import Stream
    from framelane.inference.backends.cuda.preprocess import Launcher
    from framelane.inference.backends.cuda.shared_gpu import SharedGpu

_SIDE = 64
"""Longer side in pixels at which sharpness is measured; the same as in footage/pixels.py and the kernel."""
_STEP = 256
_FLOAT = np.dtype(np.float32).itemsize


class _Buffers:
    """Room for the table and the results of one batch, and the mark behind them."""

    def __init__(self, rows: int) -> None:
        self.most = -(-rows // _STEP) * _STEP
        self.begin = self.most * LOOK.itemsize
        self.memory = TwinBuffer(self.begin + self.most * _FLOAT)
        self.table = self.memory.array[: self.begin].view(LOOK)
        self.results = self.memory.array[self.begin :].view(np.float32)
        self.done = Event()

    def close(self) -> None:
        self.memory.close()
        self.done.close()


class Looks:
    """The sharpness of a batch's objects, as soon as the GPU has measured it."""

    def __init__(self, gpu: SharedGpu, buffers: _Buffers, count: int, returned: deque[_Buffers]) -> None:
        self._gpu = gpu
        self._buffers = buffers
        self._count = count
        self._returned = returned
        self._values: list[float] | None = None

    def values(self) -> list[float]:
        """Return the sharpness of each object, from 0 to 1. Waits, but hardly ever: it took microseconds.

        Raises:
            GpuError: it could not be measured.
            DeviceLostError: the GPU is lost.
        """
        if self._values is None:
            with self._gpu.device.current():
                self._buffers.done.wait()
            self._values = self._buffers.results[: self._count].tolist()
        return self._values

    def __del__(self) -> None:
        # Takes no lock: the last reference may go anywhere.
        self._returned.append(self._buffers)


class LookPool:
    """The buffers of all batches whose results are still wanted; used by any slot.

    Args:
        gpu: the GPU.
    """

    def __init__(self, gpu: SharedGpu) -> None:
        self._gpu = gpu
        self._lock = threading.Lock()
        self._returned: deque[_Buffers] = deque()
        self._all: list[_Buffers] = []

    def look(self, rows: NDArray[np.void], kernels: Launcher, stream: Stream) -> Looks:
        """Measure parts of luma planes, asynchronously; `rows` [n] of LOOK."""
        buffers, count = self._take(len(rows)), len(rows)
        buffers.table[:count] = rows
        buffers.memory.upload(stream, count * LOOK.itemsize)
        results = buffers.memory.address + buffers.begin
        launch_sharpness(kernels, stream, buffers.memory.address, count, results)
        buffers.memory.download(stream, buffers.begin, count * _FLOAT)
        buffers.done.record(stream)
        return Looks(self._gpu, buffers, count, self._returned)

    def close(self) -> None:
        """Free all buffers; the GPU must be done with them. May be called twice."""
        while self._all:
            self._all.pop().close()
        self._returned.clear()

    def _take(self, rows: int) -> _Buffers:
        with self._lock:
            for _ in range(len(self._returned)):
                buffers = self._returned.popleft()
                # Nobody may have waited for what they were used for last.
                if buffers.most >= rows and buffers.done.done:
                    return buffers
                self._returned.append(buffers)
            buffers = _Buffers(rows)
            self._all.append(buffers)
            return buffers


def look_rows(
    addresses: NDArray[np.uint64], pitches: NDArray[np.int32], regions: NDArray[np.int32]
) -> NDArray[np.void]:
    """Return the table [n] of LOOK for regions [n, 4] of luma planes with these addresses and pitches [n]."""
    rows = np.zeros(len(regions), LOOK)
    corner, size = regions[:, :2].astype(np.uint64), regions[:, 2:] - regions[:, :2]
    share = np.minimum(_SIDE / size.max(axis=1, keepdims=True), 1.0)
    rows["source"] = addresses + corner[:, 1] * pitches.astype(np.uint64) + corner[:, 0]
    rows["pitch"] = pitches
    rows["source_wh"] = size
    rows["small_wh"] = np.maximum(np.rint(size * share), 1)
    return rows


def regions_of(xyxy: NDArray[np.float32], sizes_wh: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the regions [n, 4] of boxes in frames of these sizes [n, 2]; see region_of in footage/pixels.py."""
    corners = np.rint(xyxy.astype(np.float64)).astype(np.int32)
    first = np.clip(corners[:, :2], 0, sizes_wh - 1)
    last = np.minimum(np.maximum(corners[:, 2:], first + 1), sizes_wh)
    return np.concatenate([first, last], axis=1)
