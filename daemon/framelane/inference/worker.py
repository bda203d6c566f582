"""Runs one model over batches: several slots in flight, results handed on in the order of their frames."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import cv2
import structlog

from framelane.core.frames import Result
from framelane.core.worker import Worker
from framelane.inference.inorder import InOrder
from framelane.inference.preprocess import Preprocessor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from av import VideoFrame

    from framelane.core.clock import Clock
    from framelane.core.frames import Detections
    from framelane.inference.batcher import Batch, Batcher
    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.model import Model

log = structlog.get_logger(__name__)

_IDLE_S = 0.5


class LaneMeter(Protocol):
    """Told what became of each of a stream's frames."""

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """The model ran on a frame."""
        ...

    def frame_dropped(self, reason: str, count: int = 1) -> None:
        """A frame was given up."""
        ...


class BatchMeter(Protocol):
    """Told of each batch and how long its stages took."""

    def batch_done(self, size: int, preprocess_s: float, infer_s: float, postprocess_s: float) -> None:
        """A batch went through the model."""
        ...


@dataclass(frozen=True, slots=True)
class Lane:
    """What a model must know of a stream: the objects it wants, and who counts."""

    wanted: ClassFilter
    meter: LaneMeter


class ModelWorker:
    """A model, its batcher and its slots, each a thread that takes a batch through all stages.

    Args:
        model: what to run.
        batcher: where frames wait.
        lane_of: looks a stream's lane up by id.
        meter: the model's own meter.
        deliver: called with every result, one at a time, in the order of frames.
        clock: where `received_s` of frames was read.
    """

    def __init__(
        self,
        model: Model,
        batcher: Batcher,
        lane_of: Callable[[str], Lane],
        meter: BatchMeter,
        deliver: Callable[[Result], None],
        clock: Clock,
    ) -> None:
        self.model = model
        self.batcher = batcher
        self.lane_of = lane_of
        self.meter = meter
        self.clock = clock
        self.in_order = InOrder(deliver)
        self._slots: list[_Slot] = []

    @property
    def alive(self) -> bool:
        """Whether every slot's thread runs."""
        return all(slot.alive for slot in self._slots)

    def start(self, slots: int = 0) -> None:
        """Warm the model up and start its slots; 0 for one a CPU core this process may use.

        A second core works better on a second batch than on the same one: see `OnnxSession`.
        """
        cv2.setNumThreads(1)  # OpenCV's own pool would take the cores from decoders and slots
        for size in range(1, self.batcher.most + 1):
            self.model.warm_up(size)
        self._slots = [_Slot(self, number) for number in range(slots or len(os.sched_getaffinity(0)))]
        for slot in self._slots:
            slot.start()

    def stop(self, drain_s: float) -> None:
        """Infer what waits, then end; gives up after `drain_s` seconds."""
        self.batcher.close()
        deadline_s = self.clock.monotonic() + drain_s
        for slot in self._slots:
            slot.drain(max(deadline_s - self.clock.monotonic(), 0.0))


class _Slot(Worker):
    """One batch in flight: preprocess, infer, postprocess, hand on."""

    def __init__(self, owner: ModelWorker, number: int) -> None:
        super().__init__(f"infer-{owner.model.info.name}-{number}")
        self._owner = owner
        self._model = owner.model
        self._preprocess = Preprocessor(owner.model.input, owner.batcher.most)

    def drain(self, timeout_s: float) -> None:
        """Wait for the batcher to run dry, then stop."""
        self.join(timeout_s)
        self.stop(0)

    def run_once(self) -> None:
        """Take one batch through; end once the batcher is closed and empty."""
        batch = self._owner.batcher.collect(_IDLE_S)
        if batch is None:
            if self._owner.batcher.drained:
                self.stopping.set()
            return
        results: list[Result] = []
        try:
            results = self._infer(batch)
        finally:
            if not results:
                self._give_up(batch)
            self._owner.in_order.complete(batch.number, results)

    def failed(self, error: Exception) -> float:
        """Log it, and go on at once: the next batch may be another camera's."""
        log.error("inference_failed", model=self._model.info.name, error=str(error), exc_info=error)
        return 0.0

    def _infer(self, batch: Batch) -> list[Result]:
        start_s = time.perf_counter()
        tensor, letterboxes = self._preprocess([cast("VideoFrame", frame.picture) for frame in batch.frames])
        ready_s = time.perf_counter()
        outputs = self._model.infer(tensor)
        inferred_s = time.perf_counter()
        lanes = [self._owner.lane_of(frame.info.stream) for frame in batch.frames]
        found = self._model.postprocess(outputs, letterboxes, [lane.wanted for lane in lanes])
        done_s = time.perf_counter()
        self._owner.meter.batch_done(len(found), ready_s - start_s, inferred_s - ready_s, done_s - inferred_s)
        return self._results(batch, found, lanes, done_s - start_s)

    def _results(
        self, batch: Batch, found: Sequence[Detections], lanes: Sequence[Lane], inferred_s: float
    ) -> list[Result]:
        results = []
        for frame, detections, lane in zip(batch.frames, found, lanes, strict=True):
            queued_s = batch.collected_s - frame.info.received_s
            lane.meter.frame_inferred(queued_s, inferred_s)
            results.append(Result(frame.info, self._model.info, detections, queued_s, inferred_s))
        return results

    def _give_up(self, batch: Batch) -> None:
        for frame in batch.frames:
            self._owner.lane_of(frame.info.stream).meter.frame_dropped("failed")
