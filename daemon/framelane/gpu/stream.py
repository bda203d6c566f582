"""Streams, in which the GPU works in order, and events, which mark points in them."""

from __future__ import annotations

from typing import Any

from framelane.gpu.device import here
from framelane.gpu.errors import cuda_errors, raise_for
from framelane.gpu.libcuda import libcuda

# CU_STREAM_NON_BLOCKING.
_NON_BLOCKING = 1
# CU_EVENT_BLOCKING_SYNC.
_BLOCKING_SYNC = 1
# CU_EVENT_DISABLE_TIMING.
_DISABLE_TIMING = 2


class Stream:
    """A stream of the current GPU. It and the legacy default stream do not wait for each other."""

    def __init__(self) -> None:
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        self._device = here()
        with cuda_errors("making a stream"), self._device.pycuda_current():
            self.pycuda: Any = cuda.Stream(_NON_BLOCKING)
        self.handle = int(self.pycuda.handle)
        self._library = libcuda()

    def wait_for(self, event: Event) -> None:
        """Let later work in this stream wait for the event. The caller does not wait."""
        with cuda_errors("waiting for an event"):
            self.pycuda.wait_for_event(event.pycuda)

    def synchronize(self) -> None:
        """Sleep, without the interpreter lock, until all work in the stream is done.

        Raises:
            GpuError: work in the stream failed.
            DeviceLostError: work in the stream failed, and the context can't be used any more.
        """
        with cuda_errors("waiting for the GPU"):
            self.pycuda.synchronize()

    def copy_in(self, dst: int, src: int, size: int) -> None:
        """Copy `size` bytes from `src`, an address in pinned memory, to `dst` on the GPU; returns at once."""
        raise_for(
            self._library.with_gil.cuMemcpyHtoDAsync_v2(dst, src, size, self.handle), "copying to the GPU"
        )

    def copy_out(self, dst: int, src: int, size: int) -> None:
        """Copy `size` bytes from `src` on the GPU to `dst`, an address in pinned memory; returns at once."""
        raise_for(
            self._library.with_gil.cuMemcpyDtoHAsync_v2(dst, src, size, self.handle), "copying from the GPU"
        )

    def close(self) -> None:
        """Release the stream; its work still runs to the end."""
        if self.pycuda is not None:
            held, self.pycuda, self.handle = [self.pycuda], None, 0
            self._device.free(held.clear)


class Event:
    """A mark in a stream; threads that wait for it sleep.

    Args:
        timing: whether `ms_since` is needed, which costs a little.
    """

    def __init__(self, *, timing: bool = False) -> None:
        import pycuda.driver as cuda  # noqa: PLC0415 - only where a GPU is wanted

        self._device = here()
        flags = _BLOCKING_SYNC | (0 if timing else _DISABLE_TIMING)
        with cuda_errors("making an event"), self._device.pycuda_current():
            self.pycuda: Any = cuda.Event(flags)

    def record(self, stream: Stream | None) -> None:
        """Put the mark after all current work of the stream; None is FFmpeg's, the legacy default stream."""
        with cuda_errors("recording an event"):
            self.pycuda.record(None if stream is None else stream.pycuda)

    def wait(self) -> None:
        """Sleep, without the interpreter lock, until the mark is passed.

        Returns at once if it was never recorded.

        Raises:
            GpuError: work before it failed.
            DeviceLostError: work before it failed, and the context can't be used any more.
        """
        with cuda_errors("waiting for the GPU"):
            self.pycuda.synchronize()

    @property
    def done(self) -> bool:
        """Whether the mark is passed, or was never recorded."""
        with cuda_errors("asking for an event"):
            return bool(self.pycuda.query())

    def ms_since(self, earlier: Event) -> float:
        """Return the milliseconds on the GPU between two passed marks; both need `timing`."""
        with cuda_errors("reading an event's time"):
            return float(self.pycuda.time_since(earlier.pycuda))

    def close(self) -> None:
        """Release the event."""
        if self.pycuda is not None:
            held, self.pycuda = [self.pycuda], None
            self._device.free(held.clear)
