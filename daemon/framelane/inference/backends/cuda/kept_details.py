"""What the host gets besides boxes: the details of those that suppression has kept, and outputs that it reads."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from framelane.gpu.memory import PinnedBuffer
from framelane.inference.backends.cuda.postprocess import CORNERS
from framelane.models.heads.head import Candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.gpu.stream import Stream
    from framelane.inference.backends.cuda.contexts import SlotContexts
    from framelane.inference.backends.cuda.postprocess import Postprocess
    from framelane.models.heads.head import Details
    from framelane.models.input.letterbox import Letterbox


class KeptDetails:
    """The details of the boxes that suppression has kept, for the CPU to finish.

    The kernel writes them to page-locked memory, so only those of kept boxes cross the bus. If the details have
    an output with an entry per prediction, such as a mask, these are the entries of the kept ones.

    Args:
        contexts: have the outputs.
        details: what the head reports.
        largest: the largest bucket.
    """

    def __init__(self, contexts: SlotContexts, details: Details, largest: Postprocess) -> None:
        self._add = details.add
        self._owned = ExitStack()
        self._copies: list[HostCopy] = []
        self._outputs: list[NDArray[Any]] = [np.empty(0, np.float32)] * len(contexts.outputs)
        self._entries: tuple[int, tuple[int, ...]] | None = None
        number = details.output
        with ExitStack() as guard:
            guard.callback(self.close)
            size = largest.details_bytes
            gathered = PinnedBuffer(size)
            self._owned.callback(gathered.close)
            self._rows = gathered.array[:size].view(np.float32).reshape(largest.details_shape)
            if number is not None and details.per_object:
                self._entries = number, contexts.output_shapes[number][2:]
            elif number is not None:
                self._copy(contexts, number)
            guard.pop_all()
        self.address = gathered.address
        """Address of the details, for the GPU."""

    def enqueue(self, bucket: int, stream: Stream) -> None:
        """Enqueue the copies of the first `bucket` images."""
        for copy in self._copies:
            copy.enqueue(bucket, stream)

    def add(self, found: Detections, image: int, letterbox: Letterbox) -> Detections:
        """Return an image's detections with their details."""
        count = len(found)
        if not count:
            return found
        rows = self._rows[image, :count]
        outputs = [each[image : image + 1] for each in self._outputs]
        if self._entries is None:
            extra = rows[:, CORNERS:].copy()
        else:
            # The entries are in the order of the boxes.
            number, dims = self._entries
            extra = np.arange(count, dtype=np.float32)[:, None]
            outputs[number] = rows[:, CORNERS:].reshape(1, count, *dims)
        kept = Candidates(rows[:, :CORNERS], found.confidence, found.class_id, extra)
        return self._add(found, kept, outputs, 0, letterbox)

    def close(self) -> None:
        """Free all memory."""
        self._owned.close()

    def _copy(self, contexts: SlotContexts, number: int) -> None:
        copy = HostCopy(
            contexts.outputs[number].address,
            contexts.output_shapes[number],
            contexts.shape.outputs[number].dtype,
            self._owned,
        )
        self._copies.append(copy)
        self._outputs[number] = copy.array


class HostCopy:
    """A tensor's copy in page-locked memory.

    Args:
        device: address of the tensor.
        dims: its shape at the largest bucket; the first is the batch.
        dtype: its element type.
        owned: frees the memory.
    """

    def __init__(self, device: int, dims: Sequence[int], dtype: str, owned: ExitStack) -> None:
        self._device = device
        self._each = math.prod(dims[1:]) * np.dtype(dtype).itemsize
        size = dims[0] * self._each
        self._host = PinnedBuffer(max(size, 1))
        owned.callback(self._host.close)
        self.array: NDArray[Any] = self._host.array[:size].view(dtype).reshape(dims)
        """What the last copy of each image has left."""

    def enqueue(self, bucket: int, stream: Stream) -> None:
        """Enqueue the copy of the first `bucket` images."""
        stream.copy_out(self._host.address, self._device, bucket * self._each)
