"""Runs one model over batches: several slots in flight, results handed on in the order of their frames."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

import cv2
import structlog

from framelane.core.frames import Result
from framelane.core.worker import Worker
from framelane.gpu.errors import DeviceLostError, GpuError, OutOfMemoryError
from framelane.inference.inorder import InOrder

if TYPE_CHECKING:
    from collections.abc import Callable

    from av import VideoFrame

    from framelane.core.clock import Clock
    from framelane.core.errors import FramelaneError
    from framelane.core.frames import FrameInfo
    from framelane.inference.batcher import Batch, Batcher
    from framelane.inference.lanes import Lane
    from framelane.inference.model import Model
    from framelane.inference.runner import Detected

log = structlog.get_logger(__name__)

_IDLE_S = 0.5
_TELL_EVERY_S = 30.0
_HOPELESS_S = 10.0
_HOPELESS = 5
"""So many batches in a row that fail on the GPU, over so long: only a new process can find out whether it helps."""


class BatchMeter(Protocol):
    """Told of each batch and how long its stages took."""

    def batch_done(self, size: int, preprocess_s: float, infer_s: float, postprocess_s: float) -> None:
        """A batch went through the model."""
        ...


class ModelWorker:
    """A model, its batcher and its slots, each a thread that takes a batch through all stages.

    Args:
        model: what to run.
        batcher: where frames wait.
        lane_of: looks a stream's lane up by id; a closed one where the stream is gone.
        meter: the model's own meter.
        deliver: called with every result, one at a time, in the order of frames.
        clock: where `received_s` of frames was read.
        fatal: told, on a slot's thread, of an error after which no slot can go on and only a new process can.
    """

    def __init__(
        self,
        model: Model,
        batcher: Batcher,
        lane_of: Callable[[str], Lane],
        meter: BatchMeter,
        deliver: Callable[[Result], None],
        clock: Clock,
        fatal: Callable[[FramelaneError], None] = lambda _error: None,
    ) -> None:
        self.model = model
        self.batcher = batcher
        self.lane_of = lane_of
        self.meter = meter
        self.clock = clock
        self.fatal = fatal
        self.in_order = InOrder(deliver)
        self._slots: list[_Slot] = []

    @property
    def alive(self) -> bool:
        """Whether every slot's thread runs."""
        return all(slot.alive for slot in self._slots)

    @property
    def slots(self) -> int:
        """How many batches may be in flight."""
        return len(self._slots)

    def start(self, slots: int = 0) -> None:
        """Start the model's slots, 0 for as many as suit its backend; returns when all have opened and warmed up.

        Raises:
            FramelaneError: what kept a slot from opening; none runs then.
        """
        cv2.setNumThreads(1)  # OpenCV's own pool would take the cores from decoders and slots
        self._slots = [_Slot(self, number) for number in range(slots or self.model.backend.best_slots)]
        for slot in self._slots:
            slot.start()
        faults = [fault for slot in self._slots if (fault := slot.opened.exception()) is not None]
        if faults:
            self.batcher.close()
            for slot in self._slots:
                slot.stop()
            raise faults[0]

    def stop(self, drain_s: float) -> bool:
        """Infer what waits, then end; gives up after `drain_s` seconds. True if every slot has ended."""
        self.batcher.close()
        deadline_s = self.clock.monotonic() + drain_s
        for slot in self._slots:
            slot.drain(max(deadline_s - self.clock.monotonic(), 0.0))
        return not any(slot.alive for slot in self._slots)


class _Slot(Worker):
    """One batch in flight: collect, run, hand on.

    Attributes:
        opened: done when the runner has opened, with the error where it could not.
    """

    def __init__(self, owner: ModelWorker, number: int) -> None:
        super().__init__(f"infer-{owner.model.info.name}-{number}")
        self.opened: Future[None] = Future()
        self._owner = owner
        self._runner = owner.model.runner(owner.batcher.most)
        self._failed_in_a_row = 0
        self._failing_since_s = 0.0
        self._silent_until_s = 0.0

    def drain(self, timeout_s: float) -> None:
        """Wait for the batcher to run dry, then stop."""
        self.join(timeout_s)
        self.stop(0)

    def run_once(self) -> None:
        """Open first; then take one batch through; end once the batcher is closed and empty."""
        if not self.opened.done():
            self._runner.open()
            self.opened.set_result(None)
        batch = self._owner.batcher.collect(_IDLE_S)
        if batch is None:
            if self._owner.batcher.drained:
                self.stopping.set()
            return
        results: list[Result] = []
        try:
            results = self._infer_all(batch)
            self._failed_in_a_row = 0
        finally:
            batch.pictures.clear()
            if not results:
                self._give_up(batch)
            self._owner.in_order.complete(batch.number, results)

    def failed(self, error: Exception) -> float:
        """Log it, and go on at once: the next batch may be another camera's. What can't open ends."""
        if not self.opened.done():
            self.stopping.set()
            self.opened.set_exception(error)
            return 0.0
        if isinstance(error, DeviceLostError):
            self.stopping.set()
            self._owner.fatal(error)
            return 0.0
        log.error("inference_failed", model=self._owner.model.info.name, error=str(error), exc_info=error)
        if isinstance(error, GpuError):
            self._count_failure(error)
        return 0.0

    def _count_failure(self, error: GpuError) -> None:
        """Give the GPU up where nothing has worked on it for long."""
        now_s = self._owner.clock.monotonic()
        if not self._failed_in_a_row:
            self._failing_since_s = now_s
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _HOPELESS and now_s - self._failing_since_s >= _HOPELESS_S:
            self.stopping.set()
            self._owner.fatal(DeviceLostError(f"every batch has failed for {_HOPELESS_S:g} s: {error}"))

    def ended(self) -> None:
        """Free what the runner holds, on its own thread."""
        self.opened.cancel()  # nobody may wait for it any more
        self._runner.close()

    def _infer_all(self, batch: Batch) -> list[Result]:
        try:
            return self._infer(batch)
        except OutOfMemoryError:
            if len(batch.infos) == 1 or not batch.pictures:
                raise
        return self._infer_apart(batch)

    def _infer(self, batch: Batch) -> list[Result]:
        lanes = [self._owner.lane_of(info.stream) for info in batch.infos]
        found = self._runner.detect(
            cast("list[VideoFrame]", batch.pictures),
            [lane.wanted for lane in lanes],
            [lane.crop for lane in lanes],
        )
        self._owner.meter.batch_done(len(lanes), found.preprocess_s, found.infer_s, found.postprocess_s)
        return self._results(batch, found, lanes)

    def _infer_apart(self, batch: Batch) -> list[Result]:
        """Each picture alone: one for which the GPU has no room costs no other.

        Raises:
            OutOfMemoryError: there is room for none of them.
        """
        results: list[Result] = []
        without: list[tuple[FrameInfo, OutOfMemoryError]] = []
        for info, picture in zip(batch.infos, batch.pictures, strict=True):
            try:
                results += self._infer(replace(batch, infos=[info], pictures=[picture]))
            except OutOfMemoryError as error:
                without.append((info, error))
        if len(without) == len(batch.infos):
            raise without[-1][1]
        for info, reason in without:
            self._owner.lane_of(info.stream).meter.frame_dropped("failed")
            self._tell_of(info, reason)
        return results

    def _tell_of(self, info: FrameInfo, reason: OutOfMemoryError) -> None:
        now_s = self._owner.clock.monotonic()
        if now_s >= self._silent_until_s:
            self._silent_until_s = now_s + _TELL_EVERY_S
            size = f"{info.width}x{info.height}"
            log.error("no_room_for_picture", stream=info.stream, size=size, error=str(reason))

    def _results(self, batch: Batch, found: Detected, lanes: list[Lane]) -> list[Result]:
        inferred_s = found.preprocess_s + found.infer_s + found.postprocess_s
        results = []
        for info, detections, lane in zip(batch.infos, found.detections, lanes, strict=True):
            if lane.closed:
                continue
            queued_s = batch.collected_s - info.received_s
            lane.meter.frame_inferred(queued_s, inferred_s)
            results.append(Result(info, self._owner.model.info, detections.with_area(), queued_s, inferred_s))
        return results

    def _give_up(self, batch: Batch) -> None:
        for info in batch.infos:
            self._owner.lane_of(info.stream).meter.frame_dropped("failed")
