"""What kernels need besides images: their number, their streams' thresholds, and where classes have their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from framelane.gpu.memory import DeviceBuffer, PinnedBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.gpu.stream import Stream
    from framelane.models.heads.class_filter import ClassFilter

# Bytes before the columns: the count and padding.
_HEAD = 16
_EACH = 4


class BatchRows:
    """The number of images, and their thresholds, on the device; uploaded only when changed.

    Args:
        batch: most images.
        classes: number of the model's labels.
        columns: the columns of `ScoredRows`, which never change.

    Attributes:
        count_address: one int32.
        columns_address: int32, the columns.
        thresholds_address: float32 [batch, classes].
    """

    def __init__(self, batch: int, classes: int, columns: Sequence[int] = ()) -> None:
        begin = _HEAD + len(columns) * _EACH
        self._size = begin + batch * classes * _EACH
        self._host = PinnedBuffer(self._size)
        self._device = DeviceBuffer(self._size)
        self._count = self._host.array[:4].view(np.int32)
        self._host.array[_HEAD:begin].view(np.int32)[:] = columns
        self._thresholds = self._host.array[begin : self._size].view(np.float32).reshape(batch, classes)
        self._count[0] = 0
        self._thresholds[:] = np.inf
        self._rows: list[ClassFilter | None] = [None] * batch
        self._changed = True
        self.count_address = self._device.address
        self.columns_address = self._device.address + _HEAD
        self.thresholds_address = self._device.address + begin

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
