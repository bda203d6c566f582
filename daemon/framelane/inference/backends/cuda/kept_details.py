"""What the host gets besides boxes: the details of those that suppression has kept."""

from __future__ import annotations

import math
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from framelane.gpu.memory import PinnedBuffer
from framelane.inference.backends.cuda.postprocess import CORNERS
from framelane.models.heads.head import Candidates
from framelane.models.heads.masks import PrototypeMasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.gpu.stream import Stream
    from framelane.inference.backends.cuda.contexts import SlotContexts
    from framelane.inference.backends.cuda.postprocess import Postprocess
    from framelane.models.heads.head import Details
    from framelane.models.heads.masks import Window
    from framelane.models.input.letterbox import Letterbox


class KeptDetails:
    """The details of the boxes that suppression has kept, for the CPU to finish.

    Kernels write them to page-locked memory, so only those of kept boxes cross the bus. If the details have an
    output with an entry per prediction, such as a mask, these are the entries of the kept ones. If masks are sums
    of prototypes, these are the sums near the kept boxes; prototypes themselves are read only for an image whose
    masks have no room.

    Args:
        contexts: have the outputs.
        details: what the head reports.
        largest: the largest bucket.
    """

    def __init__(self, contexts: SlotContexts, details: Details, largest: Postprocess) -> None:
        self._details = details
        self._owned = ExitStack()
        self._nothing: list[NDArray[Any]] = [np.empty(0, np.float32)] * len(contexts.outputs)
        self._entries: tuple[int, ...] | None = None
        self._sums: _Sums | None = None
        self.sums_address = 0
        """Address of the sums of prototypes, for the GPU; 0 if there are none."""
        with ExitStack() as guard:
            guard.callback(self.close)
            size = largest.details_bytes
            gathered = PinnedBuffer(size)
            self._owned.callback(gathered.close)
            self._rows = gathered.array[:size].view(np.float32).reshape(largest.details_shape)
            if details.per_object and details.output is not None:
                self._entries = contexts.output_shapes[details.output][2:]
            elif isinstance(details, PrototypeMasks):
                self._sums = _Sums(contexts, details, largest.sums_shape, self._owned)
                self.sums_address = self._sums.address
            guard.pop_all()
        self.address = gathered.address
        """Address of the details, for the GPU."""

    def add(self, found: Detections, image: int, letterbox: Letterbox, stream: Stream) -> Detections:
        """Return an image's detections with their details.

        Args:
            found: the detections.
            image: the image's index in the batch.
            letterbox: where the image is in the input.
            stream: the slot's, for what is still on the GPU.
        """
        count = len(found)
        if not count:
            return found
        rows = self._rows[image, :count]
        xyxy = rows[:, :CORNERS]
        if self._sums is not None:
            added = self._sums.add(found, xyxy, image, letterbox)
            if added is not None:
                return added
        extra, outputs = rows[:, CORNERS:].copy(), self._nothing.copy()
        number = self._details.output
        if number is not None and self._entries is not None:
            # The entries are in the order of the boxes.
            outputs[number] = extra.reshape(1, count, *self._entries)
            extra = np.arange(count, dtype=np.float32)[:, None]
        elif number is not None and self._sums is not None:
            outputs[number] = self._sums.prototypes.fetch(image, stream)
        kept = Candidates(xyxy, found.confidence, found.class_id, extra)
        return self._details.add(found, kept, outputs, 0, letterbox)

    def close(self) -> None:
        """Free all memory."""
        self._owned.close()


class _Sums:
    """Sums of prototypes near kept boxes.

    Args:
        contexts: have the outputs.
        masks: what the head reports.
        shape: images and most sums of each.
        owned: frees the memory.
    """

    def __init__(
        self, contexts: SlotContexts, masks: PrototypeMasks, shape: tuple[int, int], owned: ExitStack
    ) -> None:
        size = math.prod(shape) * np.dtype(np.float32).itemsize
        memory = PinnedBuffer(size)
        owned.callback(memory.close)
        self._values = memory.array[:size].view(np.float32).reshape(shape)
        self.address = memory.address
        self._masks = masks
        dims = contexts.output_shapes[masks.output]
        self._map_shape = dims[2:]
        address, dtype = contexts.outputs[masks.output].address, contexts.shape.outputs[masks.output].dtype
        self.prototypes = HostCopy(address, (1, *dims[1:]), dtype, owned)
        """Memory for the prototypes of one image."""

    def add(
        self, found: Detections, xyxy: NDArray[np.float32], image: int, letterbox: Letterbox
    ) -> Detections | None:
        """Return an image's detections with their masks; None if there was no room for the sums of all."""
        windows = self._masks.windows(xyxy, self._map_shape)
        sums = self._of(image, windows)
        return None if sums is None else self._masks.add_sums(found, xyxy, windows, sums, letterbox)

    def _of(self, image: int, windows: Sequence[Window]) -> list[NDArray[np.float32]] | None:
        ends = np.cumsum([0, *(math.prod(window.shape) for window in windows)]).tolist()
        values = self._values[image]
        if ends[-1] > len(values):
            return None
        spans = zip(pairwise(ends), windows, strict=True)
        return [values[begin:end].reshape(window.shape) for (begin, end), window in spans]


class HostCopy:
    """A tensor's copy in page-locked memory.

    Args:
        device: address of the tensor.
        dims: shape of the copy; the first is the batch.
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

    def fetch(self, image: int, stream: Stream) -> NDArray[Any]:
        """Copy one image's part, and wait for it."""
        stream.copy_out(self._host.address, self._device + image * self._each, self._each)
        stream.synchronize()
        return self.array
