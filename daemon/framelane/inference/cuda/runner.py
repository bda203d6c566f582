"""A slot's work on the GPU: from pictures to detections without a pixel in host memory."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import av
import numpy as np
import structlog

from framelane.core.errors import FramelaneError, ModelError
from framelane.gpu.graph import capture
from framelane.gpu.memory import DeviceBuffer, PinnedBuffer
from framelane.gpu.postprocess import Postprocess, PostprocessAddresses
from framelane.gpu.preprocess import OutputSpec, launch_preprocess
from framelane.gpu.stream import Event, Stream
from framelane.inference.class_filter import ClassFilter
from framelane.inference.cuda.contexts import pixel_type
from framelane.inference.cuda.heads import head_spec
from framelane.inference.cuda.live import LiveRows
from framelane.inference.cuda.pictures import PictureTable
from framelane.inference.cuda.results import detections
from framelane.inference.runner import Detected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.gpu.graph import Graph
    from framelane.inference.cuda.contexts import SlotContexts
    from framelane.inference.cuda.site import CudaSite
    from framelane.inference.letterbox import Crop
    from framelane.inference.postprocess import Postprocessor

log = structlog.get_logger(__name__)


class _Closes(Protocol):
    def close(self) -> None: ...


_Owned = TypeVar("_Owned", bound=_Closes)


@dataclass(frozen=True, slots=True)
class Task:
    """What a runner is to do.

    Attributes:
        model: the model's key.
        postprocess: the head, overlap and most detections.
        classes: number of the model's labels.
        batch: most pictures in a batch.
    """

    model: str
    postprocess: Postprocessor
    classes: int
    batch: int


class CudaRunner:
    """All stages on one stream; see Runner. The device is current on the slot's thread from `open` to `close`.

    For each bucket a graph holds inference, box decoding, suppression and the copy of the results to the host.
    Preprocessing runs before it, apart: when it is done, the pictures go back to their decoders.

    Args:
        site: the GPU.
        contexts: makes the engine's contexts for a slot.
        task: what to do.
    """

    def __init__(
        self,
        site: CudaSite,
        contexts: Callable[[Stream], SlotContexts],
        task: Task,
    ) -> None:
        self._site = site
        self._make_contexts = contexts
        self._task = task
        self._owned = ExitStack()
        self._graphs: dict[int, Graph] = {}

    def open(self) -> None:
        """See Runner: memory, contexts, one run and one graph for each bucket."""
        with ExitStack() as guard:
            guard.callback(self.close)
            self._owned.enter_context(self._site.device.current())
            self._kernels = self._site.kernels
            self._stream = self._own(Stream())
            self._decoded, self._read, self._done = (self._own(Event()) for _ in range(3))
            self._contexts = self._own(self._make_contexts(self._stream))
            self._check_batch()
            self._make_buffers()
            for bucket in self._contexts.shape.buckets:
                self._graphs[bucket] = self._capture(bucket)
            self._warm_up()
            guard.pop_all()
        log.info(
            "slot_opened", model=self._task.model, buckets=list(self._graphs), device_bytes=self.device_bytes
        )

    @property
    def device_bytes(self) -> int:
        """Device memory of this slot, without the pictures' own."""
        return self._contexts.bytes + self._work.size + self._result.size

    def detect(
        self, pictures: list[av.VideoFrame], wanted: Sequence[ClassFilter], crops: Sequence[Crop | None]
    ) -> Detected:
        """See Runner."""
        start_s = time.perf_counter()
        count = len(pictures)
        with ExitStack() as guard:
            # What fails half-way must not be read or written any more.
            guard.callback(self._stream.synchronize)
            self._enqueue(pictures, wanted, crops)
            self._read.wait()
            pictures.clear()
            read_s = time.perf_counter()
            self._done.wait()
            guard.pop_all()
        inferred_s = time.perf_counter()
        found = detections(self._results, count)
        done_s = time.perf_counter()
        return Detected(found, read_s - start_s, inferred_s - read_s, done_s - inferred_s)

    def close(self) -> None:
        """See Runner: graphs, then contexts, then memory, the stream last."""
        self._graphs.clear()
        try:
            self._owned.close()
        except FramelaneError as error:  # the GPU is lost: nothing is left to free
            log.warning("slot_close_failed", error=str(error))

    def replay(self, count: int) -> None:
        """Run the graph for so many pictures over what lies in the input, and wait: for measurements."""
        self._graphs[self._bucket(count)].launch(self._stream)
        self._done.record(self._stream)
        self._done.wait()

    def _enqueue(
        self, pictures: list[av.VideoFrame], wanted: Sequence[ClassFilter], crops: Sequence[Crop | None]
    ) -> None:
        """Hand a whole batch to the GPU; returns at once."""
        stream, count = self._stream, len(pictures)
        self._table.fill(pictures, crops)
        self._live.fill(wanted)
        self._decoded.record(
            None
        )  # decoders write on the legacy stream, which ours does not wait for by itself
        stream.wait_for(self._decoded)
        self._table.upload(stream)
        self._live.upload(stream)
        launch_preprocess(
            self._kernels,
            stream,
            self._table.address,
            count,
            self._contexts.input.address,
            self._input_spec,
        )
        self._read.record(stream)
        self._graphs[self._bucket(count)].launch(stream)
        self._done.record(stream)

    def _check_batch(self) -> None:
        most = self._contexts.shape.buckets[-1]
        if self._task.batch > most:
            raise ModelError(
                f"batches of {self._task.batch} are asked of an engine made for {most}; set `batch`"
            )

    def _make_buffers(self) -> None:
        shape, task = self._contexts.shape, self._task
        head, image = task.postprocess.head, shape.image
        number = head.output
        spec = head_spec(
            head, self._contexts.output_shapes[number], shape.outputs[number].dtype, labels=task.classes
        )
        self._after = {
            bucket: Postprocess(spec, bucket, task.postprocess.iou, task.postprocess.max_det)
            for bucket in shape.buckets
        }
        largest = self._after[shape.buckets[-1]]
        self._input = replace(head.input, dtype=pixel_type(image.dtype))
        self._input_spec = OutputSpec(
            self._input.width, self._input.height, self._input.dtype, self._input.scale, self._input.pad
        )
        self._table = self._own(PictureTable(self._input, shape.buckets[-1]))
        self._live = self._own(LiveRows(shape.buckets[-1], task.classes))
        self._work = self._own(DeviceBuffer(largest.workspace_bytes))
        self._result = self._own(DeviceBuffer(largest.result_bytes))
        host = self._own(PinnedBuffer(largest.result_bytes))
        self._results = host.array[: largest.result_bytes].view(np.float32).reshape(largest.result_shape)
        self._results_address = host.address
        self._addresses = PostprocessAddresses(
            output=self._contexts.outputs[number].address,
            thresholds=self._live.thresholds_address,
            table=self._table.address,
            live=self._live.count_address,
            work=self._work.address,
            result=self._result.address,
        )

    def _capture(self, bucket: int) -> Graph:
        after = self._after[bucket]

        def work() -> None:
            self._contexts.enqueue(bucket, self._stream)
            after.launch(self._kernels, self._stream, self._addresses)
            self._stream.copy_out(self._results_address, self._result.address, after.result_bytes)

        self._live.upload(self._stream)  # no live pictures: nothing of the unset memory is looked at
        work()  # TensorRT does things at a context's first run that can't be captured
        self._stream.synchronize()
        return self._own(capture(self._stream, work))

    def _warm_up(self) -> None:
        """Each bucket once on grey pictures, by the way that frames take."""
        spec = self._input
        nothing = ClassFilter.of(np.full(self._task.classes, np.inf, np.float32))
        for bucket in self._graphs:
            pictures = [_grey(spec.width, spec.height) for _ in range(bucket)]
            self.detect(pictures, [nothing] * bucket, [None] * bucket)

    def _bucket(self, count: int) -> int:
        return next(bucket for bucket in self._graphs if bucket >= count)

    def _own(self, thing: _Owned) -> _Owned:
        self._owned.callback(thing.close)
        return thing


def _grey(width: int, height: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((height, width), 128, np.uint8), format="gray")
