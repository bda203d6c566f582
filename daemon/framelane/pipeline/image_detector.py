"""Object detection on single images, which take turns in a batcher like the frames of a stream."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING

from framelane.config.suggest import unknown
from framelane.core.errors import RequestError
from framelane.core.frames import FrameInfo
from framelane.inference.job import Job
from framelane.models.input.pixel_formats import GBR, LAYOUTS, YUV

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from av import VideoFrame

    from framelane.core.clock import Clock
    from framelane.core.drop_reasons import DropReason
    from framelane.core.frames import Result
    from framelane.inference.worker import ModelWorker

_UPLOAD = "(upload)"
_WHY = {
    "stopping": "the daemon stops",
    "failed": "inference of this image's batch failed; the log says why",
}


class ImageDetector:
    """Infers single images with the models of this process. Thread-safe.

    Callers must limit how many images wait, because each image takes a turn as a stream does.

    Args:
        workers: returns the models that run now, by name.
        clock: the clock.
        timeout_s: most seconds that an answer may take.
    """

    def __init__(
        self, workers: Callable[[], Mapping[str, ModelWorker]], clock: Clock, timeout_s: float
    ) -> None:
        self._workers = workers
        self._clock = clock
        self._timeout_s = timeout_s
        self._waiting: set[_Upload] = set()
        self._closed = False

    def check(self) -> None:
        """Raise RequestError if no model runs."""
        if self._closed:
            raise RequestError("stopping", _WHY["stopping"])
        if not self._workers():
            raise RequestError("starting", "no model is loaded yet")

    def detect(self, image: VideoFrame, model: str | None, confidence: float | None) -> Result:
        """Return what a model finds in an image.

        Args:
            image: a decoded image that no other code writes to.
            model: the model's name; None for the first one.
            confidence: least confidence; None for the model's own.

        Raises:
            RequestError: the model is unknown, the daemon is starting or stopping, or inference failed or
                timed out.
        """
        self.check()
        worker = self._worker(model)
        upload = _Upload()
        self._waiting.add(upload)
        # If `close` runs now, either it finds the upload in the set, or `_closed` is seen here.
        if self._closed:
            upload.frame_dropped("stopping")
        else:
            job = Job(self._info(image), worker.model.filter(None, confidence), None, upload)
            worker.batcher.offer(job, _supported_format(image))
        try:
            return upload.outcome.result(self._timeout_s)
        except FutureTimeoutError:
            raise RequestError(
                "late", f"no answer within {self._timeout_s:g} s: the daemon is overloaded"
            ) from None
        finally:
            worker.batcher.withdraw(upload)
            self._waiting.discard(upload)

    def close(self) -> None:
        """Refuse all waiting and future requests; may be called twice."""
        self._closed = True
        for upload in list(self._waiting):
            upload.frame_dropped("stopping")

    def _worker(self, model: str | None) -> ModelWorker:
        workers = self._workers()
        name = next(iter(workers)) if model is None else model
        if name not in workers:
            raise RequestError("unknown", unknown("model", name, workers))
        return workers[name]

    def _info(self, image: VideoFrame) -> FrameInfo:
        return FrameInfo(
            stream=_UPLOAD,
            index=0,
            pts_s=0.0,
            captured_at=self._clock.wall(),
            clock="receive",
            received_s=self._clock.monotonic(),
            width=image.width,
            height=image.height,
        )


def _supported_format(image: VideoFrame) -> VideoFrame:
    """Convert an image whose pixel format slots can't read, so that no slot has to."""
    own = image.format
    if own.name in LAYOUTS:
        return image
    return image.reformat(format=GBR if own.is_rgb or own.has_palette else YUV)


class _Upload:
    """The destination of one image. Its first outcome counts."""

    def __init__(self) -> None:
        self.outcome: Future[Result] = Future()

    def deliver(self, result: Result) -> None:
        """See Destination."""
        with suppress(InvalidStateError):
            self.outcome.set_result(result)

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """See Destination."""

    def frame_dropped(self, reason: DropReason, count: int = 1) -> None:  # noqa: ARG002 - an upload is one frame
        """See Destination."""
        with suppress(InvalidStateError):
            self.outcome.set_exception(
                RequestError(reason, _WHY.get(reason, f"the image was dropped: {reason}"))
            )
