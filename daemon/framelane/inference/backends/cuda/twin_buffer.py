"""Pinned host memory and as much device memory, between which copies keep their place."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from framelane.gpu.memory import DeviceBuffer, PinnedBuffer

if TYPE_CHECKING:
    from framelane.gpu.stream import Stream


class TwinBuffer:
    """`size` bytes on both sides; the device is current where it is made and closed.

    Attributes:
        size: in bytes.
        array: the host's bytes.
        address: of the device's.

    Raises:
        OutOfMemoryError: there is no room on one side.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        with ExitStack() as undo:
            self._host = PinnedBuffer(size)
            undo.callback(self._host.close)
            self._device = DeviceBuffer(size)
            undo.pop_all()
        self.array = self._host.array[:size]
        self.address = self._device.address

    def upload(self, stream: Stream, size: int) -> None:
        """Copy the first `size` bytes to the device, asynchronously."""
        stream.copy_in(self._device.address, self._host.address, size)

    def download(self, stream: Stream, begin: int, size: int) -> None:
        """Copy `size` bytes from `begin` on to the host, asynchronously."""
        stream.copy_out(self._host.address + begin, self._device.address + begin, size)

    def close(self) -> None:
        """Free both sides; the GPU must be done with them."""
        self._device.close()
        self._host.close()


def grown(buffer: TwinBuffer | None, size: int, step: int) -> TwinBuffer:
    """Return a buffer of at least `size` bytes: the same, or a larger one in place of it.

    The old content is lost. If there is no room, the old buffer stays.

    Raises:
        OutOfMemoryError: there is no room.
    """
    if buffer is not None and buffer.size >= size:
        return buffer
    larger = TwinBuffer(-(-size // step) * step)
    if buffer is not None:
        buffer.close()
    return larger
