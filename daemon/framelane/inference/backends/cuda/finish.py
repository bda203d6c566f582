"""What follows inference on the GPU: from a model's raw outputs to detections, by kernels or on the CPU."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from framelane.gpu.memory import DeviceBuffer, PinnedBuffer
from framelane.inference.backends.cuda.batch_rows import BatchRows
from framelane.inference.backends.cuda.head_kernels import head_spec
from framelane.inference.backends.cuda.postprocess import Postprocess, PostprocessAddresses
from framelane.inference.backends.cuda.results import detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.gpu.stream import Stream
    from framelane.inference.backends.cuda.contexts import SlotContexts
    from framelane.inference.backends.cuda.preprocess import Launcher
    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.input.letterbox import Letterbox
    from framelane.models.postprocess import Postprocessor

_Buffer = TypeVar("_Buffer", DeviceBuffer, PinnedBuffer, BatchRows)


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
        self._addresses = PostprocessAddresses(
            output=contexts.outputs[number].address,
            thresholds=self._live.thresholds_address,
            table=table_address,
            live=self._live.count_address,
            work=self._work.address,
            result=self._result.address,
        )

    @property
    def device_bytes(self) -> int:
        """See Finish."""
        return self._work.size + self._result.size

    def fill(self, wanted: Sequence[ClassFilter], letterboxes: Sequence[Letterbox]) -> None:  # noqa: ARG002 - the table has them
        """See Finish."""
        self._live.fill(wanted)

    def upload(self, stream: Stream) -> None:
        """See Finish."""
        self._live.upload(stream)

    def enqueue(self, bucket: int, stream: Stream) -> None:
        """See Finish; with no live images the kernels read none of the unset memory."""
        after = self._after[bucket]
        after.launch(self._kernels, stream, self._addresses)
        stream.copy_out(self._host.address, self._result.address, after.result_bytes)

    def detections(self, count: int) -> list[Detections]:
        """See Finish."""
        return detections(self._results, count)

    def close(self) -> None:
        """See Finish."""
        self._owned.close()

    def _own(self, thing: _Buffer) -> _Buffer:
        self._owned.callback(thing.close)
        return thing


class HostFinish:
    """Copies the raw outputs and decodes them on the CPU, for heads without kernels; see Finish.

    Args:
        contexts: have the outputs.
        postprocess: decodes and suppresses.
    """

    def __init__(self, contexts: SlotContexts, postprocess: Postprocessor) -> None:
        self._postprocess = postprocess
        self._owned = ExitStack()
        self._copies: list[tuple[int, int, int]] = []
        self._arrays: list[NDArray[Any]] = []
        self._batch: tuple[Sequence[ClassFilter], Sequence[Letterbox]] = ((), ())
        with ExitStack() as guard:
            guard.callback(self.close)
            outputs = zip(contexts.outputs, contexts.output_shapes, contexts.shape.outputs, strict=True)
            for device, dims, tensor in outputs:
                each = math.prod(dims[1:]) * np.dtype(tensor.dtype).itemsize
                host = PinnedBuffer(max(dims[0] * each, 1))
                self._owned.callback(host.close)
                self._copies.append((host.address, device.address, each))
                self._arrays.append(host.array[: dims[0] * each].view(tensor.dtype).reshape(dims))
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
        for host, device, each in self._copies:
            stream.copy_out(host, device, bucket * each)

    def detections(self, count: int) -> list[Detections]:
        """See Finish."""
        wanted, letterboxes = self._batch
        outputs = [array[:count].astype(np.float32, copy=False) for array in self._arrays]
        return self._postprocess(outputs, letterboxes, wanted)

    def close(self) -> None:
        """See Finish."""
        self._owned.close()
