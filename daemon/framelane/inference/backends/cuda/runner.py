"""Runs one slot's batches on the GPU: from images to detections without pixels in host memory."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import av
import numpy as np
import structlog

from framelane.core.errors import FramelaneError, ModelError
from framelane.gpu.errors import GpuError, OutOfMemoryError
from framelane.gpu.graph import capture
from framelane.gpu.stream import Event, Stream
from framelane.inference.backends.cuda.contexts import pixel_type
from framelane.inference.backends.cuda.finish import HostFinish, KernelFinish
from framelane.inference.backends.cuda.frame_copier import FrameCopier
from framelane.inference.backends.cuda.image_table import ImageTable
from framelane.inference.backends.cuda.preprocess import launch_preprocess
from framelane.inference.backends.runner import Detected
from framelane.models.heads.class_filter import ClassFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.gpu.graph import Graph
    from framelane.inference.backends.cuda.contexts import SlotContexts
    from framelane.inference.backends.cuda.finish import Finish
    from framelane.inference.backends.cuda.frame_copier import FrameCopies
    from framelane.inference.backends.cuda.frame_copy import FrameCopy
    from framelane.inference.backends.cuda.shared_gpu import SharedGpu
    from framelane.models.input.letterbox import Crop
    from framelane.models.postprocess import Postprocessor

log = structlog.get_logger(__name__)

_ATTEMPTS = 3


class _Closes(Protocol):
    def close(self) -> None: ...


_Owned = TypeVar("_Owned", bound=_Closes)


@dataclass(frozen=True, slots=True)
class Task:
    """The model and batch size of a runner.

    Attributes:
        model: the model's key.
        postprocess: the head, overlap and most detections.
        classes: number of the model's labels.
        batch: most images in a batch.
    """

    model: str
    postprocess: Postprocessor
    classes: int
    batch: int


class CudaRunner:
    """Runs all stages on one CUDA stream; see Runner.

    The device is current on the slot's thread from `open` to `close`.

    Each bucket has a CUDA graph of inference, box decoding, suppression and the copy of the results to the
    host. If the head has no kernels, it copies the raw outputs, and the CPU decodes them. Preprocessing runs
    before the graph, separately: when it is done, the images go back to their decoders. Frames that snapshots
    may need are copied within the GPU before that.

    Args:
        gpu: the GPU.
        contexts: creates the engine's contexts on a CUDA stream.
        task: the model and batch size.
        copies: what the model's slots share for copies of frames.
    """

    def __init__(
        self,
        gpu: SharedGpu,
        contexts: Callable[[Stream], SlotContexts],
        task: Task,
        copies: FrameCopies,
    ) -> None:
        self._gpu = gpu
        self._make_contexts = contexts
        self._task = task
        self._copies = copies
        self._owned = ExitStack()
        self._graphs: dict[int, Graph] = {}

    def open(self) -> None:
        """Allocate memory and contexts, then run once and capture a graph for each bucket; see Runner.

        While other slots and decoders open, TensorRT's first run has failed once in hundreds of openings
        ("Cask convolution execution"). A retry costs half a second; ending the process would cost all
        cameras.
        """
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                self._open()
            except OutOfMemoryError:
                raise
            except GpuError as error:
                if not attempts_left:
                    raise
                log.warning("slot_open_failed", model=self._task.model, text=str(error))
            else:
                return

    def _open(self) -> None:
        with ExitStack() as guard:
            guard.callback(self.close)
            self._owned.enter_context(self._gpu.device.current())
            self._kernels = self._gpu.kernels
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
        """Device memory of this slot in bytes, without that of images."""
        return self._contexts.bytes + self._finish.device_bytes

    def detect(
        self,
        images: list[av.VideoFrame],
        wanted: Sequence[ClassFilter],
        crops: Sequence[Crop | None],
        pictured: Sequence[int] = (),
    ) -> Detected:
        """See Runner."""
        start_s = time.perf_counter()
        count = len(images)
        with ExitStack() as guard:
            # After a failure the GPU must be done with all memory before it is reused.
            guard.callback(self._stream.synchronize)
            copies = self._enqueue(images, wanted, crops, pictured)
            self._read.wait()
            images.clear()
            read_s = time.perf_counter()
            self._done.wait()
            guard.pop_all()
        inferred_s = time.perf_counter()
        found = self._finish.detections(count, self._stream)
        if copies:
            self._copier.look(copies, found, pictured, self._stream)
        done_s = time.perf_counter()
        times_s = read_s - start_s, inferred_s - read_s, done_s - inferred_s
        return Detected(found, *times_s, copies, self._copies.memory.bytes)

    def close(self) -> None:
        """Free graphs, then contexts, then memory, then the CUDA stream; see Runner."""
        self._graphs.clear()
        try:
            self._owned.close()
        # The GPU is lost: nothing is left to free.
        except FramelaneError as error:
            log.warning("slot_close_failed", error=str(error))

    def replay(self, count: int) -> None:
        """Run the graph for `count` images on the current input and wait; for measurements."""
        self._graphs[self._bucket(count)].launch(self._stream)
        self._done.record(self._stream)
        self._done.wait()

    def _enqueue(
        self,
        images: list[av.VideoFrame],
        wanted: Sequence[ClassFilter],
        crops: Sequence[Crop | None],
        pictured: Sequence[int],
    ) -> dict[int, FrameCopy]:
        """Enqueue a whole batch on the GPU and return the copies of frames that it makes; returns at once."""
        stream, count = self._stream, len(images)
        letterboxes = self._table.fill(images, crops)
        self._finish.fill(wanted, letterboxes)
        # Decoders write on the legacy stream, which ours does not wait for by itself.
        self._decoded.record(None)
        stream.wait_for(self._decoded)
        self._table.upload(stream)
        self._finish.upload(stream)
        launch_preprocess(
            self._kernels,
            stream,
            self._table.address,
            count,
            self._contexts.input.address,
            self._input,
        )
        copies = self._copier.copy(images, pictured, stream) if any(pictured) else {}
        self._read.record(stream)
        self._graphs[self._bucket(count)].launch(stream)
        self._done.record(stream)
        return copies

    def _check_batch(self) -> None:
        most = self._contexts.shape.buckets[-1]
        if self._task.batch > most:
            raise ModelError(
                f"a batch of {self._task.batch} exceeds the {most} that the engine was built for; set `batch`"
            )

    def _make_buffers(self) -> None:
        shape, task = self._contexts.shape, self._task
        self._input = replace(task.postprocess.head.input, dtype=pixel_type(shape.image.dtype))
        self._table = self._own(ImageTable(self._input, shape.buckets[-1]))
        self._finish = self._own(self._make_finish())
        self._copier = self._own(FrameCopier(self._kernels, self._copies))

    def _make_finish(self) -> Finish:
        task = self._task
        if task.postprocess.head.layout is None:
            return HostFinish(self._contexts, task.postprocess)
        return KernelFinish(
            self._kernels, self._contexts, task.postprocess, task.classes, self._table.address
        )

    def _capture(self, bucket: int) -> Graph:
        def work() -> None:
            self._contexts.enqueue(bucket, self._stream)
            self._finish.enqueue(bucket, self._stream)

        self._finish.upload(self._stream)
        # TensorRT does things at a context's first run that can't be captured.
        work()
        self._stream.synchronize()
        return self._own(capture(self._stream, work))

    def _warm_up(self) -> None:
        """Run each bucket once on gray images, the same way as on frames."""
        spec = self._input
        nothing = ClassFilter.of(np.full(self._task.classes, np.inf, np.float32))
        for bucket in self._graphs:
            images = [_gray(spec.width, spec.height) for _ in range(bucket)]
            self.detect(images, [nothing] * bucket, [None] * bucket)

    def _bucket(self, count: int) -> int:
        return next(bucket for bucket in self._graphs if bucket >= count)

    def _own(self, thing: _Owned) -> _Owned:
        self._owned.callback(thing.close)
        return thing


def _gray(width: int, height: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((height, width), 128, np.uint8), format="gray")
