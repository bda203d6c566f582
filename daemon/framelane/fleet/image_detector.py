"""Object detection on uploaded images by the models of worker processes."""

from __future__ import annotations

import itertools
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

from framelane.config.suggest import unknown
from framelane.core.errors import RequestError
from framelane.fleet.packed_image import PackedImage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from av import VideoFrame

    from framelane.core.frames import Result
    from framelane.fleet.supervisor import Supervisor


class FleetDetector:
    """Sends each image to a running worker, in turn. Thread-safe.

    Args:
        supervisors: one per worker.
        models: returns the names of the models that any worker has loaded, in the order of the configuration.
        timeout_s: most seconds that an answer may take.
    """

    def __init__(
        self, supervisors: Sequence[Supervisor], models: Callable[[], Sequence[str]], timeout_s: float
    ) -> None:
        self._supervisors = supervisors
        self._models = models
        self._timeout_s = timeout_s
        self._turns = itertools.count()
        self._closed = False

    def check(self) -> None:
        """Raise RequestError if no worker runs."""
        if self._closed:
            raise RequestError("stopping", "the daemon stops")
        if not any(each.up for each in self._supervisors):
            raise RequestError("starting", "no worker process is running yet")

    def detect(self, image: VideoFrame, model: str | None, confidence: float | None) -> Result:
        """Return what a model finds in an image.

        Each worker loads the models of its streams; only workers with the model are asked.

        Raises:
            RequestError: the model is unknown, the daemon is starting or stopping, or inference failed or
                timed out.
        """
        self.check()
        name = model if model is not None else next(iter(self._models()), None)
        if name is not None and name not in self._models():
            raise RequestError("unknown", unknown("model", name, self._models()))
        worker = self._next(name)
        answer = worker.detect(PackedImage.of(image), name, confidence)
        try:
            # The worker itself gives up after `timeout_s`; the extra second is for the transfer.
            return answer.result(self._timeout_s + 1.0)
        except FutureTimeoutError:
            raise RequestError(
                "late", f"no answer within {self._timeout_s:g} s: the daemon is overloaded"
            ) from None

    def close(self) -> None:
        """Refuse further requests; may be called twice."""
        self._closed = True

    def _next(self, model: str | None) -> Supervisor:
        up = [each for each in self._supervisors if each.up]
        able = [each for each in up if model in each.models]
        if not able:
            raise RequestError("starting", "no running worker process has the model")
        return able[next(self._turns) % len(able)]
