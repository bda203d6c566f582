"""Single pictures through the batchers of the streams: each is a stream of its own, with one frame."""

from __future__ import annotations

import itertools
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING

from framelane.config.suggest import unknown
from framelane.core.errors import RequestError
from framelane.core.frames import Frame, FrameInfo
from framelane.inference.lanes import Lane
from framelane.inference.layouts import GBR, LAYOUTS, YUV

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from av import VideoFrame

    from framelane.core.clock import Clock
    from framelane.core.frames import Result
    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.worker import ModelWorker

_PREFIX = "still/"  # no stream's id holds a slash
_WHY = {
    "stopping": "the daemon stops",
    "failed": "inference of this picture's batch failed: see the log",
}


class Stills:
    """Has pictures inferred one by one, each in its turn among the streams. Thread-safe.

    Whoever calls bounds how many wait: each takes a turn, as a stream does.

    Args:
        workers: the models that run now, by name.
        clock: where the time is read.
    """

    def __init__(self, workers: Callable[[], Mapping[str, ModelWorker]], clock: Clock) -> None:
        self._workers = workers
        self._clock = clock
        self._numbers = itertools.count()
        self._stills: dict[str, _Still] = {}
        self._closed = False

    def check(self) -> None:
        """Raise RequestError where no model runs, yet or any more."""
        if self._closed:
            raise RequestError("stopping", _WHY["stopping"])
        if not self._workers():
            raise RequestError("starting", "no model is loaded yet")

    def infer(
        self, picture: VideoFrame, model: str | None, confidence: float | None, timeout_s: float
    ) -> Result:
        """What a model finds in a picture; waits for it.

        Args:
            picture: decoded; nobody else writes to it.
            model: the model's name; None for the first one.
            confidence: least confidence, None for the model's own.
            timeout_s: how long to wait.

        Raises:
            RequestError: there is no such model, the daemon starts or stops, inference failed, or took too long.
        """
        self.check()
        worker = self._worker(model)
        name = f"{_PREFIX}{next(self._numbers)}"
        still = _Still(worker.model.filter(None, confidence), lambda: self._stills.pop(name, None))
        self._stills[name] = still
        if self._closed:  # asked after it is noted: either we see it here, or `close` sees us
            still.frame_dropped("stopping")
        else:
            worker.batcher.offer(Frame(self._info(name, picture), _readable(picture)))
        try:
            return still.outcome.result(timeout_s)
        except FutureTimeoutError:
            raise RequestError(
                "late", f"no answer within {timeout_s:g} s: the daemon has too much to do"
            ) from None
        finally:
            # One that is in a batch already must be found here until the batch is done.
            if worker.batcher.withdraw(name):
                self._stills.pop(name, None)

    def lane(self, stream: str) -> Lane | None:
        """What a model must know of a picture on its way, by the stream that it is; None if it is none."""
        still = self._stills.get(stream)
        return None if still is None else Lane(still.wanted, still)

    def deliver(self, result: Result) -> bool:
        """Take a result; False if it is that of a stream."""
        still = self._stills.pop(result.frame.stream, None)
        if still is not None:
            still.succeed(result)
        return still is not None

    def dropped(self, stream: str, reason: str) -> bool:
        """A frame was given up before it was inferred; False if it is that of a stream."""
        still = self._stills.pop(stream, None)
        if still is not None:
            still.fail(reason)
        return still is not None

    def close(self) -> None:
        """Answer all who wait, and all who come, that the daemon stops; may be called twice."""
        self._closed = True
        for still in list(self._stills.values()):
            still.fail("stopping")

    def _worker(self, model: str | None) -> ModelWorker:
        workers = self._workers()
        name = next(iter(workers)) if model is None else model
        if name not in workers:
            raise RequestError("unknown", unknown("model", name, workers))
        return workers[name]

    def _info(self, name: str, picture: VideoFrame) -> FrameInfo:
        return FrameInfo(
            stream=name,
            index=0,
            pts_s=0.0,
            captured_at=self._clock.wall(),
            clock="receive",
            received_s=self._clock.monotonic(),
            width=picture.width,
            height=picture.height,
        )


def _readable(picture: VideoFrame) -> VideoFrame:
    """In a format that slots read as it is: what pictures may be like is not to cost a slot time, or its batch."""
    own = picture.format
    if own.name in LAYOUTS:
        return picture
    return picture.reformat(format=GBR if own.is_rgb or own.has_palette else YUV)


class _Still:
    """A picture on its way; hears for it what a meter hears for a stream. The first word about it counts."""

    def __init__(self, wanted: ClassFilter, forget: Callable[[], object]) -> None:
        self.wanted = wanted
        self._forget = forget
        self.outcome: Future[Result] = Future()

    def succeed(self, result: Result) -> None:
        """Here it is."""
        with suppress(InvalidStateError):
            self.outcome.set_result(result)

    def fail(self, reason: str) -> None:
        """There will be none."""
        with suppress(InvalidStateError):
            self.outcome.set_exception(RequestError(reason, _WHY.get(reason, f"it was dropped: {reason}")))

    def frame_inferred(self, queued_s: float, inferred_s: float) -> None:
        """The result is about to come."""

    def frame_dropped(self, reason: str, count: int = 1) -> None:  # noqa: ARG002 - as a meter's
        """It was given up, with its batch as a rule."""
        self._forget()
        self.fail(reason)
