"""Brings parts of copied frames from the GPU to the host, on a thread of its own."""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque
from concurrent.futures import Future
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import structlog

from framelane.core.errors import FramelaneError
from framelane.core.worker import Worker
from framelane.gpu.errors import GpuError
from framelane.gpu.stream import Stream
from framelane.inference.backends.cuda.copy_tables import REDUCED_PLANE, launch_reduce
from framelane.inference.backends.cuda.frame_copy import FrameCopy, frame_of
from framelane.inference.backends.cuda.twin_buffer import grown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import av
    from numpy.typing import NDArray

    from framelane.inference.backends.cuda.copy_plan import Region
    from framelane.inference.backends.cuda.shared_gpu import SharedGpu
    from framelane.inference.backends.cuda.twin_buffer import TwinBuffer
    from framelane.models.input.letterbox import SizeWH

log = structlog.get_logger(__name__)

_MOST_AT_ONCE_BYTES = 16 << 20
_PIXELS_STEP, _TABLE_STEP = 1 << 20, 16 << 10
_ALIGN = 16


class _Shot(NamedTuple):
    """A region to bring, in which size, and for whom: nobody, if the future is gone."""

    copy: FrameCopy
    region: Region
    size_wh: SizeWH
    wanted: weakref.ref[Future[av.VideoFrame]]

    @property
    def size(self) -> int:
        """Bytes in host memory, with each plane aligned."""
        return sum(_aligned(math.prod(each.size_wh(self.size_wh))) for each in self.copy.plan.channels)


class Fetcher(Worker):
    """Reduces and downloads regions, several at once. Its thread starts with the first.

    The queue is bounded by the memory for copies: each region belongs to one.

    Args:
        model: the model's key, for the thread's name.
        gpu: the GPU.
    """

    def __init__(self, model: str, gpu: SharedGpu) -> None:
        super().__init__(f"fetch-{model}")
        self._gpu = gpu
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._waiting: deque[_Shot] = deque()
        self._over = False
        self._stream: Stream | None = None
        self._table: TwinBuffer | None = None
        self._pixels: TwinBuffer | None = None

    def bring(self, copy: FrameCopy, region: Region, size_wh: SizeWH) -> Future[av.VideoFrame]:
        """Have a region brought to the host in this size, from any thread. Returns at once.

        If nobody holds the future any more when the region's turn comes, it is left out.
        """
        future: Future[av.VideoFrame] = Future()
        with self._lock:
            if self._over:
                future.set_exception(_closed())
                return future
            self._waiting.append(_Shot(copy, region, size_wh, weakref.ref(future)))
        self.start()
        self._news.set()
        return future

    def wake(self) -> None:
        """Make the thread check whether to stop."""
        self._news.set()

    def run_once(self) -> None:
        """Wait for regions, and bring all that wait."""
        self._news.wait()
        self._news.clear()
        with self._gpu.device.current():
            while shots := self._next():
                self._bring(shots)

    def failed(self, error: Exception) -> float:
        """Log the error, then go on with what still waits."""
        self._news.set()
        return super().failed(error)

    def ended(self) -> None:
        """Tell whoever still waits, and free the memory."""
        with self._lock:
            self._over = True
            shots = list(self._waiting)
            self._waiting.clear()
        _fail(shots, _closed())
        if self._stream is None:
            return
        try:
            with self._gpu.device.current():
                for thing in (self._table, self._pixels, self._stream):
                    if thing is not None:
                        thing.close()
        # The GPU is lost: nothing is left to free.
        except FramelaneError as error:
            log.warning("fetcher_close_failed", error=str(error))

    def _next(self) -> list[_Shot]:
        """Take regions as long as they fit together, but at least one."""
        shots: list[_Shot] = []
        room = _MOST_AT_ONCE_BYTES
        with self._lock:
            while self._waiting and not (shots and self._waiting[0].size > room):
                shot = self._waiting.popleft()
                if shot.wanted() is not None:
                    shots.append(shot)
                    room -= shot.size
        return shots

    def _bring(self, shots: Sequence[_Shot]) -> None:
        try:
            frames = self._frames(shots)
        except FramelaneError as error:
            _fail(shots, error)
            raise
        for shot, frame in zip(shots, frames, strict=True):
            future = shot.wanted()
            if future is not None:
                future.set_result(frame)

    def _frames(self, shots: Sequence[_Shot]) -> list[av.VideoFrame]:
        stream = self._stream = self._stream or Stream()
        self._pixels = pixels = grown(self._pixels, sum(shot.size for shot in shots), _PIXELS_STEP)
        rows, used = _rows(shots, pixels.address)
        self._table = table = grown(self._table, rows.nbytes, _TABLE_STEP)
        table.array[: rows.nbytes] = rows.view(np.uint8)
        with ExitStack() as guard:
            # After a failure the GPU must be done with the memory before it is used again.
            guard.callback(stream.synchronize)
            table.upload(stream, rows.nbytes)
            launch_reduce(self._gpu.kernels, stream, table.address, rows)
            pixels.download(stream, 0, used)
        return list(_unpacked(shots, pixels.array))


def _rows(shots: Sequence[_Shot], address: int) -> tuple[NDArray[np.void], int]:
    """Return the table [channels of all shots], whose targets begin at an address, and the bytes of all."""
    given, used = [], 0
    for copy, region, size_wh, _ in shots:
        source_wh = region[2] - region[0], region[3] - region[1]
        for channel in copy.plan.channels:
            begin, target_wh = copy.block.address + channel.begin(region), channel.size_wh(size_wh)
            sizes = channel.pitch, target_wh[0], channel.size_wh(source_wh), target_wh
            given.append((begin, address + used, *sizes, channel.step))
            used += _aligned(math.prod(target_wh))
    return np.array(given, REDUCED_PLANE), used


def _unpacked(shots: Sequence[_Shot], pixels: NDArray[np.uint8]) -> Iterator[av.VideoFrame]:
    begin = 0
    for copy, _, size_wh, _ in shots:
        planes = []
        for channel in copy.plan.channels:
            wide, high = channel.size_wh(size_wh)
            planes.append(pixels[begin : begin + wide * high].reshape(high, wide))
            begin += _aligned(wide * high)
        yield frame_of(copy, size_wh, planes)


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _fail(shots: Sequence[_Shot], error: FramelaneError) -> None:
    for shot in shots:
        future = shot.wanted()
        if future is not None:
            future.set_exception(error)


def _closed() -> GpuError:
    return GpuError("the model is closed")
