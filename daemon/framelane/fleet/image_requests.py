"""Detection requests to one worker process."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from framelane.core.errors import RequestError
from framelane.fleet.protocol import Detect

if TYPE_CHECKING:
    from framelane.core.frames import Result
    from framelane.fleet.packed_image import PackedImage
    from framelane.fleet.process import WorkerProcess
    from framelane.fleet.protocol import Detected


class ImageRequests:
    """Sends images to the worker and matches its answers. Thread-safe."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Result]] = {}
        self._lock = threading.Lock()

    def ask(
        self, process: WorkerProcess | None, image: PackedImage, model: str | None, confidence: float | None
    ) -> Future[Result]:
        """Send an image; return its answer, which fails with RequestError if no process runs or it ends."""
        answer: Future[Result] = Future()
        number = next(self._numbers)
        if process is None:
            answer.set_exception(_no_worker())
            return answer
        with self._lock:
            self._waiting[number] = answer
        process.tell(Detect(number, image, model, confidence))
        # The process may have ended after `fail` was called and before the request was added.
        if process.gone:
            self.fail()
        return answer

    def take(self, message: Detected) -> None:
        """Complete the request that a message answers."""
        with self._lock:
            answer = self._waiting.pop(message.number, None)
        if answer is None:
            return
        if message.result is not None:
            answer.set_result(message.result)
        else:
            answer.set_exception(RequestError(*(message.refusal or ("failed", "the worker gave no reason"))))

    def fail(self) -> None:
        """Fail all waiting requests, because the process has ended."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set_exception(_no_worker())


def _no_worker() -> RequestError:
    return RequestError("starting", "the worker process has ended and is being restarted")
