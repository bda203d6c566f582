"""CUDA graphs: work that is recorded once and then started with one call. PyCUDA has no calls for them."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from framelane.gpu.device import here
from framelane.gpu.errors import raise_for
from framelane.gpu.libcuda import libcuda

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.gpu.stream import Stream

# CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate and load meanwhile.
_THREAD_LOCAL = 1


class Graph:
    """Recorded work, ready to start; created by `capture`."""

    def __init__(self, handle: int) -> None:
        self._device = here()
        self._handle = handle
        # About 0.13 ms for a network's kernels. In a busy process, to get the interpreter lock back takes ten
        # times that.
        self._launch = libcuda().with_gil.cuGraphLaunch

    def launch(self, stream: Stream) -> None:
        """Start the graph in a stream and return before it is done. A graph runs only once at a time."""
        raise_for(self._launch(self._handle, stream.handle), "starting a CUDA graph")

    def close(self) -> None:
        """Release the graph; it must not be running."""
        handle, self._handle = self._handle, 0
        if handle:
            with self._device.current():
                libcuda().without_gil.cuGraphExecDestroy(handle)


def capture(stream: Stream, work: Callable[[], None]) -> Graph:
    """Record what `work` puts in the stream, without running it.

    `work` runs on this thread. It may neither allocate nor wait, nor use the legacy default stream.

    Raises:
        GpuError: something in it can't be recorded; errors of `work` itself are passed on.
    """
    library, recorded = libcuda().without_gil, ctypes.c_void_p()
    raise_for(library.cuStreamBeginCapture_v2(stream.handle, _THREAD_LOCAL), "recording a CUDA graph")
    try:
        work()
    except BaseException:
        # The stream must leave capture mode, whatever this call returns.
        library.cuStreamEndCapture(stream.handle, ctypes.byref(recorded))
        _discard(recorded)
        raise
    code = library.cuStreamEndCapture(stream.handle, ctypes.byref(recorded))
    try:
        raise_for(code, "recording a CUDA graph")
        made = ctypes.c_void_p()
        raise_for(
            library.cuGraphInstantiateWithFlags(ctypes.byref(made), recorded, 0), "making a CUDA graph ready"
        )
    finally:
        _discard(recorded)
    graph = Graph(made.value or 0)
    try:
        # Optional, but otherwise the first launch does it.
        raise_for(library.cuGraphUpload(made, stream.handle), "sending a CUDA graph to the GPU")
    except BaseException:
        graph.close()
        raise
    return graph


def _discard(recorded: ctypes.c_void_p) -> None:
    if recorded.value:
        libcuda().without_gil.cuGraphDestroy(recorded)
