"""What follows inference on the GPU: from a model's raw outputs to detections, by kernels or on the CPU."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from framelane.gpu.memory import DeviceBuffer, PinnedBuffer
from framelane.inference.backends.cuda.batch_rows import BatchRows
from framelane.inference.backends.cuda.head_kernels import head_spec
from framelane.inference.backends.cuda.kept_details import HostCopy, KeptDetails
from framelane.inference.backends.cuda.postprocess import Postprocess, PostprocessAddresses
from framelane.inference.backends.cuda.results import detections
from framelane.models.heads.head import ScoredRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.core.frames import Detections
    from framelane.gpu.stream import Stream
    from framelane.inference.backends.cuda.contexts import SlotContexts
    from framelane.inference.backends.cuda.preprocess import Launcher
    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.head import Head
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

    def detections(self, count: int, stream: Stream) -> list[Detections]:
        """Return the detections of the first `count` images, once the GPU is done with all of the slot's stream."""
        ...

    def close(self) -> None:
        """Free all memory."""
        ...


class KernelFinish:
    """Decodes and suppresses on the GPU, and copies only the remaining boxes; see Finish.

    Kernels write their details to the host, and the CPU finishes them.

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
        shape, head = contexts.shape, postprocess.head
        dtypes = [output.dtype for output in shape.outputs]
        spec = head_spec(head, contexts.output_shapes, dtypes, labels=classes)
        most = min(postprocess.max_det, spec.anchors)
        self._after = {bucket: Postprocess(spec, bucket, postprocess.iou, most) for bucket in shape.buckets}
        largest = self._after[shape.buckets[-1]]
        self._details: KeptDetails | None = None
        with ExitStack() as guard:
            guard.callback(self.close)
            columns = head.layout.columns if isinstance(head.layout, ScoredRows) else ()
            self._live = self._own(BatchRows(shape.buckets[-1], classes, columns))
            self._work = self._own(DeviceBuffer(largest.workspace_bytes))
            self._result = self._own(DeviceBuffer(largest.result_bytes))
            self._host = self._own(PinnedBuffer(largest.result_bytes))
            if head.details is not None:
                self._details = self._own(KeptDetails(contexts, head.details, largest))
            guard.pop_all()
        self._results = (
            self._host.array[: largest.result_bytes].view(np.float32).reshape(largest.result_shape)
        )
        self._addresses = self._addresses_of(contexts, head, table_address)

    @property
    def device_bytes(self) -> int:
        """See Finish."""
        return self._work.size + self._result.size

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

    def detections(self, count: int, stream: Stream) -> list[Detections]:
        """See Finish."""
        found = detections(self._results, count)
        if self._details is None:
            return found
        return [
            self._details.add(each, image, letterbox, stream)
            for image, (each, letterbox) in enumerate(zip(found, self._letterboxes, strict=True))
        ]

    def close(self) -> None:
        """See Finish."""
        self._owned.close()

    def _addresses_of(self, contexts: SlotContexts, head: Head, table: int) -> PostprocessAddresses:
        outputs = [output.address for output in contexts.outputs]
        scored = head.layout if isinstance(head.layout, ScoredRows) else None
        details = self._details
        read = 0 if head.details is None or head.details.output is None else outputs[head.details.output]
        return PostprocessAddresses(
            output=outputs[head.output],
            thresholds=self._live.thresholds_address,
            table=table,
            live=self._live.count_address,
            work=self._work.address,
            result=self._result.address,
            details=0 if details is None else details.address,
            scores=0 if scored is None else outputs[scored.output],
            columns=0 if scored is None else self._live.columns_address,
            read=read,
            sums=0 if details is None else details.sums_address,
        )

    def _own(self, thing: _Owned) -> _Owned:
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
        self._copies: list[HostCopy] = []
        self._batch: tuple[Sequence[ClassFilter], Sequence[Letterbox]] = ((), ())
        with ExitStack() as guard:
            guard.callback(self.close)
            outputs = zip(contexts.outputs, contexts.output_shapes, contexts.shape.outputs, strict=True)
            for device, dims, tensor in outputs:
                self._copies.append(HostCopy(device.address, dims, tensor.dtype, self._owned))
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

    def detections(self, count: int, stream: Stream) -> list[Detections]:  # noqa: ARG002 - all is copied already
        """See Finish."""
        wanted, letterboxes = self._batch
        outputs = [copy.array[:count].astype(np.float32, copy=False) for copy in self._copies]
        return self._postprocess(outputs, letterboxes, wanted)

    def close(self) -> None:
        """See Finish."""
        self._owned.close()
