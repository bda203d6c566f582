"""What follows inference on the GPU: from a model's raw outputs to detections, by kernels or on the CPU."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from framelane.gpu.memory import DeviceBuffer, PinnedBuffer
from framelane.inference.backends.cuda.batch_rows import BatchRows
from framelane.inference.backends.cuda.head_kernels import head_spec
from framelane.inference.backends.cuda.postprocess import CORNERS, Postprocess, PostprocessAddresses
from framelane.inference.backends.cuda.results import detections
from framelane.models.heads.head import Candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.gpu.stream import Stream
    from framelane.inference.backends.cuda.contexts import SlotContexts
    from framelane.inference.backends.cuda.preprocess import Launcher
    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.head import Details
    from framelane.models.input.letterbox import Letterbox
    from framelane.models.postprocess import Postprocessor


class _Buffer(Protocol):
    def close(self) -> None: ...


_Owned = TypeVar("_Owned", bound=_Buffer)


class Finish(Protocol):
    """Turns one slot's raw outputs into detections; belongs to one thread."""

    @property
    def device_bytes(self) -> int:
        """Device memory in bytes."""
        ...

    def fill(self, wanted: Sequence[ClassFilter], letterboxes: Sequence[Letterbox]) -> None:
        """Note what a batch's streams want, and where its images are in the input."""
        ...

    def upload(self, stream: Stream) -> None:
        """Upload what the GPU needs for that, asynchronously."""
        ...

    def enqueue(self, bucket: int, stream: Stream) -> None:
        """Enqueue what follows inference; reads no host memory, so a CUDA graph can hold it."""
        ...

    def detections(self, count: int) -> list[Detections]:
        """Return the detections of the first `count` images, once the GPU is done."""
        ...

    def close(self) -> None:
        """Free all memory."""
        ...


class KernelFinish:
    """Decodes and suppresses on the GPU, and copies only the remaining boxes; see Finish.

    Details of these boxes are copied with them, and so is the output that the details need, such as the
    prototypes of masks. The CPU finishes them.

    Args:
        kernels: launches them.
        contexts: have the outputs.
        postprocess: the head, overlap and most detections.
        classes: number of the model's labels.
        table_address: the table of the batch's images.
    """

    def __init__(
        self,
        kernels: Launcher,
        contexts: SlotContexts,
        postprocess: Postprocessor,
        classes: int,
        table_address: int,
    ) -> None:
        self._kernels = kernels
        self._owned = ExitStack()
        shape, number = contexts.shape, postprocess.head.output
        spec = head_spec(
            postprocess.head, contexts.output_shapes[number], shape.outputs[number].dtype, labels=classes
        )
        self._after = {
            bucket: Postprocess(spec, bucket, postprocess.iou, postprocess.max_det)
            for bucket in shape.buckets
        }
        largest = self._after[shape.buckets[-1]]
        with ExitStack() as guard:
            guard.callback(self.close)
            self._live = self._own(BatchRows(shape.buckets[-1], classes))
            self._work = self._own(DeviceBuffer(largest.workspace_bytes))
            self._result = self._own(DeviceBuffer(largest.result_bytes))
            self._host = self._own(PinnedBuffer(largest.result_bytes))
            guard.pop_all()
        self._results = (
            self._host.array[: largest.result_bytes].view(np.float32).reshape(largest.result_shape)
        )
        self._details = self._make_details(contexts, postprocess.head.details, largest)
        self._addresses = PostprocessAddresses(
            output=contexts.outputs[number].address,
            thresholds=self._live.thresholds_address,
            table=table_address,
            live=self._live.count_address,
            work=self._work.address,
            result=self._result.address,
            details=0 if self._details is None else self._details.address,
        )

    @property
    def device_bytes(self) -> int:
        """See Finish."""
        details = 0 if self._details is None else self._details.device_bytes
        return self._work.size + self._result.size + details

    def fill(self, wanted: Sequence[ClassFilter], letterboxes: Sequence[Letterbox]) -> None:
        """See Finish."""
        self._live.fill(wanted)
        self._letterboxes = letterboxes

    def upload(self, stream: Stream) -> None:
        """See Finish."""
        self._live.upload(stream)

    def enqueue(self, bucket: int, stream: Stream) -> None:
        """See Finish; with no live images the kernels read none of the unset memory."""
        after = self._after[bucket]
        after.launch(self._kernels, stream, self._addresses)
        stream.copy_out(self._host.address, self._result.address, after.result_bytes)
        if self._details is not None:
            self._details.enqueue(bucket, stream)

    def detections(self, count: int) -> list[Detections]:
        """See Finish."""
        found = detections(self._results, count)
        if self._details is None:
            return found
        return [
            self._details.add(each, image, letterbox)
            for image, (each, letterbox) in enumerate(zip(found, self._letterboxes, strict=True))
        ]

    def close(self) -> None:
        """See Finish."""
        self._owned.close()

    def _make_details(
        self, contexts: SlotContexts, details: Details | None, largest: Postprocess
    ) -> _KeptDetails | None:
        if details is None:
            return None
        return self._own(_KeptDetails(contexts, details, largest))

    def _own(self, thing: _Owned) -> _Owned:
        self._owned.callback(thing.close)
        return thing


class _KeptDetails:
    """The details of the boxes that suppression has kept, for the CPU to finish.

    Args:
        contexts: have the outputs.
        details: what the head reports.
        largest: the largest bucket.
    """

    def __init__(self, contexts: SlotContexts, details: Details, largest: Postprocess) -> None:
        self._add = details.add
        self._owned = ExitStack()
        with ExitStack() as guard:
            guard.callback(self.close)
            self._gathered = DeviceBuffer(largest.details_bytes)
            self._owned.callback(self._gathered.close)
            shape = largest.details_shape
            self._copies = [_Copy(self._gathered.address, shape, "float32", self._owned)]
            self._rows = self._copies[0].array
            self._outputs: list[NDArray[Any]] = [np.empty(0, np.float32)] * len(contexts.outputs)
            number = details.output
            if number is not None:
                tensor = contexts.shape.outputs[number]
                copy = _Copy(
                    contexts.outputs[number].address,
                    contexts.output_shapes[number],
                    tensor.dtype,
                    self._owned,
                )
                self._copies.append(copy)
                self._outputs[number] = copy.array
            guard.pop_all()

    @property
    def address(self) -> int:
        """Device address of the details."""
        return self._gathered.address

    @property
    def device_bytes(self) -> int:
        """Device memory in bytes."""
        return self._gathered.size

    def enqueue(self, bucket: int, stream: Stream) -> None:
        """Enqueue the copies of the first `bucket` images."""
        for copy in self._copies:
            copy.enqueue(bucket, stream)

    def add(self, found: Detections, image: int, letterbox: Letterbox) -> Detections:
        """Return an image's detections with their details."""
        if not len(found):
            return found
        rows = self._rows[image, : len(found)]
        kept = Candidates(rows[:, :CORNERS], found.confidence, found.class_id, rows[:, CORNERS:].copy())
        outputs = [each[image : image + 1].astype(np.float32, copy=False) for each in self._outputs]
        return self._add(found, kept, outputs, 0, letterbox)

    def close(self) -> None:
        """Free all memory."""
        self._owned.close()


class _Copy:
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


class HostFinish:
    """Copies the raw outputs and decodes them on the CPU, for heads without kernels; see Finish.

    Args:
        contexts: have the outputs.
        postprocess: decodes and suppresses.
    """

    def __init__(self, contexts: SlotContexts, postprocess: Postprocessor) -> None:
        self._postprocess = postprocess
        self._owned = ExitStack()
        self._copies: list[_Copy] = []
        self._batch: tuple[Sequence[ClassFilter], Sequence[Letterbox]] = ((), ())
        with ExitStack() as guard:
            guard.callback(self.close)
            outputs = zip(contexts.outputs, contexts.output_shapes, contexts.shape.outputs, strict=True)
            for device, dims, tensor in outputs:
                self._copies.append(_Copy(device.address, dims, tensor.dtype, self._owned))
            guard.pop_all()

    @property
    def device_bytes(self) -> int:
        """See Finish."""
        return 0

    def fill(self, wanted: Sequence[ClassFilter], letterboxes: Sequence[Letterbox]) -> None:
        """See Finish."""
        self._batch = wanted, letterboxes

    def upload(self, stream: Stream) -> None:
        """Do nothing: the CPU has all of it."""

    def enqueue(self, bucket: int, stream: Stream) -> None:
        """See Finish."""
        for copy in self._copies:
            copy.enqueue(bucket, stream)

    def detections(self, count: int) -> list[Detections]:
        """See Finish."""
        wanted, letterboxes = self._batch
        outputs = [copy.array[:count].astype(np.float32, copy=False) for copy in self._copies]
        return self._postprocess(outputs, letterboxes, wanted)

    def close(self) -> None:
        """See Finish."""
        self._owned.close()
