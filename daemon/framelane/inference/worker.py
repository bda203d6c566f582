"""Runs one model on batches: several slots in flight, results delivered in the order of their frames."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import cv2
import structlog

from framelane.core.frames import Result
from framelane.core.worker import Worker
from framelane.gpu.errors import DeviceLostError, GpuError, OutOfMemoryError
from framelane.inference.delivery import DeliveryThread, unchanged
from framelane.inference.job import Delivery
from framelane.media.surface import is_on_gpu

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from av import VideoFrame

    from framelane.core.clock import Clock
    from framelane.core.errors import FramelaneError
    from framelane.core.frames import Picture
    from framelane.inference.backends.runner import Detected
    from framelane.inference.batcher import Batch, Batcher
    from framelane.inference.delivery import Stage
    from framelane.inference.job import Job
    from framelane.inference.model import Model
    from framelane.telemetry.meters import ModelMeter

log = structlog.get_logger(__name__)

_IDLE_S = 0.5
_LOG_EVERY_S = 30.0
_HOPELESS_S = 10.0
_HOPELESS = 5
"""After this many failed batches in a row, over this many seconds, the GPU is given up: only a restart can help."""
_FAILING = 3
_MOST_WAITING = 2
"""Most finished batches per slot that wait for delivery."""
_LEAST_DELIVERY_S = 0.5
"""Least seconds to deliver inferred results in, even if slots hang."""
_MOST_TEXT = 200


class Failures:
    """Counts a model's failed batches, on all its slots, since the last success."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._text: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why every batch fails, in a sentence; None while batches succeed."""
        return self._text

    def batch_done(self) -> None:
        """Note a success."""
        if self._in_a_row:
            with self._lock:
                self._in_a_row, self._text = 0, None

    def batch_failed(self, error: Exception) -> None:
        """Note a failure; one or two in a row may be the fault of one odd frame."""
        with self._lock:
            self._in_a_row += 1
            # Set the text only once: each different text would be a new state.
            if self._in_a_row == _FAILING:
                why = " ".join(str(error).split())[:_MOST_TEXT] or type(error).__name__
                self._text = f"model {self._model} fails on every batch: {why}"


class ModelWorker:
    """A model, its batcher and its slots. Each slot is a thread that takes a batch through all stages.

    Args:
        model: the model.
        batcher: supplies batches.
        meter: the model's meter.
        clock: the clock that `received_s` of frames was read from.
        fatal: called on a slot's thread with an error that only a new process can recover from.
        stage: the analysis stage.
    """

    def __init__(
        self,
        model: Model,
        batcher: Batcher,
        meter: ModelMeter,
        clock: Clock,
        fatal: Callable[[FramelaneError], None] = lambda _error: None,
        stage: Stage = unchanged,
    ) -> None:
        self.model = model
        self.batcher = batcher
        self.meter = meter
        self.clock = clock
        self.fatal = fatal
        self.failures = Failures(model.info.name)
        self.pictured = 0
        """Of how many objects of each tracked frame the analysis stage needs the pixels."""
        self._slots: list[_Slot] = []
        self.delivery = DeliveryThread(model.info.name, 1, stage)

    @property
    def alive(self) -> bool:
        """Whether all its threads run."""
        return self.delivery.alive and all(slot.alive for slot in self._slots)

    @property
    def trouble(self) -> str | None:
        """Why every batch fails, in a sentence; None while batches succeed."""
        return self.failures.trouble

    @property
    def slots(self) -> int:
        """The number of batches that may be in flight."""
        return len(self._slots)

    def start(self, slots: int = 0) -> None:
        """Start the model's slots and wait until all have opened and warmed up.

        Args:
            slots: how many; 0 for the backend's best number.

        Raises:
            FramelaneError: a slot could not open; no slot runs then.
        """
        # OpenCV's own thread pool would take cores from decoders and slots.
        cv2.setNumThreads(1)
        self._slots = [_Slot(self, number) for number in range(slots or self.model.backend.best_slots)]
        self.delivery.most = _MOST_WAITING * len(self._slots)
        for slot in self._slots:
            slot.start()
        faults = [fault for slot in self._slots if (fault := slot.opened.exception()) is not None]
        if faults:
            self.batcher.close()
            for slot in self._slots:
                slot.stop()
            raise faults[0]
        self.delivery.start()

    def stop(self, drain_s: float) -> bool:
        """Infer and deliver what waits, then end, all within `drain_s` seconds.

        Return True if every slot has ended.
        """
        self.batcher.close()
        deadline_s = self.clock.monotonic() + drain_s
        for slot in self._slots:
            slot.drain(max(deadline_s - self.clock.monotonic(), 0.0))
        self.delivery.drain(max(deadline_s - self.clock.monotonic(), _LEAST_DELIVERY_S))
        return not any(slot.alive for slot in self._slots)


class _Slot(Worker):
    """One batch in flight: collects it, runs the model, passes the results on.

    Attributes:
        opened: done when the runner has opened; holds the error if it could not.
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
        """Wait until the batcher is empty, at most `timeout_s`, then stop."""
        self.join(timeout_s)
        self.stop(0)

    def run_once(self) -> None:
        """Open the runner if need be, then process one batch; end once the batcher is drained."""
        if not self.opened.done():
            self._runner.open()
            self.opened.set_result(None)
        batch = self._owner.batcher.collect(_IDLE_S)
        if batch is None:
            if self._owner.batcher.drained:
                self.stopping.set()
            return
        done: list[Delivery] = []
        try:
            done = self._infer_all(batch)
            self._failed_in_a_row = 0
            self._owner.failures.batch_done()
        finally:
            batch.images.clear()
            if not done:
                self._give_up(batch)
            self._owner.delivery.complete(batch.number, done)

    def failed(self, error: Exception) -> float:
        """Log the error and go on at once: the next batch may be another camera's.

        End if the runner can't open.
        """
        if not self.opened.done():
            self.stopping.set()
            self.opened.set_exception(error)
            return 0.0
        if isinstance(error, DeviceLostError):
            self.stopping.set()
            self._owner.fatal(error)
            return 0.0
        self._owner.failures.batch_failed(error)
        log.error("inference_failed", model=self._owner.model.info.name, error=str(error), exc_info=error)
        if isinstance(error, GpuError):
            self._count_failure(error)
        return 0.0

    def _count_failure(self, error: GpuError) -> None:
        """Give the GPU up if nothing has worked on it for long."""
        now_s = self._owner.clock.monotonic()
        if not self._failed_in_a_row:
            self._failing_since_s = now_s
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _HOPELESS and now_s - self._failing_since_s >= _HOPELESS_S:
            self.stopping.set()
            self._owner.fatal(DeviceLostError(f"every batch has failed for {_HOPELESS_S:g} s: {error}"))

    def ended(self) -> None:
        """Close the runner, on its own thread."""
        # `start` must not wait for a slot that ended before it opened.
        self.opened.cancel()
        self._runner.close()

    def _infer_all(self, batch: Batch) -> list[Delivery]:
        try:
            return self._infer(batch)
        except OutOfMemoryError:
            if len(batch.jobs) == 1 or not batch.images:
                raise
        return self._infer_one_by_one(batch)

    def _infer(self, batch: Batch) -> list[Delivery]:
        pictures = _needed(batch)
        found = self._runner.detect(
            cast("list[VideoFrame]", batch.images),
            [job.wanted for job in batch.jobs],
            [job.crop for job in batch.jobs],
            [job.pictured for job in batch.jobs],
        )
        pictures.update(found.copies)
        missed = sum(job.pictured > 0 for job in batch.jobs) - len(pictures)
        self._owner.meter.batch_done(len(batch.jobs), found.preprocess_s, found.infer_s, found.postprocess_s)
        if found.copies or missed:
            self._owner.meter.frames_copied(missed, found.copy_bytes)
        return self._deliveries(batch, found, pictures)

    def _infer_one_by_one(self, batch: Batch) -> list[Delivery]:
        """Infer each image alone, so that one too large for the GPU's memory costs no other.

        Raises:
            OutOfMemoryError: the GPU has room for none of them.
        """
        done: list[Delivery] = []
        too_large: list[tuple[Job, OutOfMemoryError]] = []
        for job, image in zip(batch.jobs, batch.images, strict=True):
            try:
                done += self._infer(replace(batch, jobs=[job], images=[image]))
            except OutOfMemoryError as error:
                too_large.append((job, error))
        if len(too_large) == len(batch.jobs):
            raise too_large[-1][1]
        for job, reason in too_large:
            job.destination.frame_dropped("failed")
            self._log_too_large(job, reason)
        return done

    def _log_too_large(self, job: Job, reason: OutOfMemoryError) -> None:
        now_s = self._owner.clock.monotonic()
        if now_s >= self._silent_until_s:
            self._silent_until_s = now_s + _LOG_EVERY_S
            size = f"{job.info.width}x{job.info.height}"
            log.error("no_room_for_picture", stream=job.info.stream, size=size, error=str(reason))

    def _deliveries(self, batch: Batch, found: Detected, pictures: Mapping[int, Picture]) -> list[Delivery]:
        inferred_s = found.preprocess_s + found.infer_s + found.postprocess_s
        done = []
        for number, (job, detections) in enumerate(zip(batch.jobs, found.detections, strict=True)):
            queued_s = batch.collected_s - job.info.received_s
            job.destination.frame_inferred(queued_s, inferred_s)
            result = Result(job.info, self._owner.model.info, detections.with_area(), queued_s, inferred_s)
            done.append(Delivery(job.destination, result, job.shown, pictures.get(number)))
        return done

    def _give_up(self, batch: Batch) -> None:
        for job in batch.jobs:
            job.destination.frame_dropped("failed")


def _needed(batch: Batch) -> dict[int, Picture]:
    """Return the images in host memory that the analysis stage needs, by their place in the batch.

    A surface on the GPU must go back to its decoder: the runner copies it.
    """
    return {
        number: batch.images[number]
        for number, job in enumerate(batch.jobs)
        if job.pictured and not is_on_gpu(batch.images[number])
    }
