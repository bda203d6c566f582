"""The per-batch data besides images: their number, and their streams' thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from framelane.gpu.memory import DeviceBuffer, PinnedBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.gpu.stream import Stream
    from framelane.models.heads.class_filter import ClassFilter

# Bytes before the thresholds: the count and padding.
_HEAD = 16


class BatchRows:
    """The number of images, and their thresholds, on the device; uploaded only when changed.

    Attributes:
        count_address: one int32.
        thresholds_address: float32 [batch, classes].
    """

    def __init__(self, batch: int, classes: int) -> None:
        self._size = _HEAD + batch * classes * np.dtype(np.float32).itemsize
        self._host = PinnedBuffer(self._size)
        self._device = DeviceBuffer(self._size)
        self._count = self._host.array[:4].view(np.int32)
        self._thresholds = self._host.array[_HEAD : self._size].view(np.float32).reshape(batch, classes)
        self._count[0] = 0
        self._thresholds[:] = np.inf
        self._rows: list[ClassFilter | None] = [None] * batch
        self._changed = True
        self.count_address = self._device.address
        self.thresholds_address = self._device.address + _HEAD

    def fill(self, wanted: Sequence[ClassFilter]) -> None:
        """Set each image's thresholds; rows that this batch does not use keep their old values."""
        if self._count[0] != len(wanted):
            self._count[0] = len(wanted)
            self._changed = True
        for row, each in enumerate(wanted):
            if self._rows[row] is not each:
                self._thresholds[row] = each.thresholds
                self._rows[row] = each
                self._changed = True

    def upload(self, stream: Stream) -> None:
        """Upload if anything changed; the CUDA stream must be done before the next `fill`."""
        if self._changed:
            stream.copy_in(self.count_address, self._host.address, self._size)
            self._changed = False

    def close(self) -> None:
        """Free host and device memory; may be called twice."""
        self._device.close()
        self._host.close()
