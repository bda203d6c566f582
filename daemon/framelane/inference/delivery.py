"""Delivers results in the order of their batches, whichever slot finished first."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from framelane.core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.inference.job import Delivery

    Stage = Callable[[Sequence[Delivery]], Sequence[Delivery]]

_IDLE_S = 0.5


def unchanged(batch: Sequence[Delivery]) -> Sequence[Delivery]:
    """Return the results unchanged: the stage of a model without analysis."""
    return batch


class DeliveryThread(Worker):
    """Takes results from a model's slots, runs the analysis stage on them and delivers them one at a time.

    Slots only infer; analysis and the encoding of messages happen here. Consumers rely on the order: `seq`
    never runs backwards, and trackers see a stream's frames in time order. A batch that failed completes with
    no results.

    A slot waits in `complete` while `most` batches wait here. A slow stage thus shows as frames replaced in
    the batcher, not as growing memory.

    Args:
        name: the model's name.
        most: most finished batches that wait.
        stage: the analysis stage, called per batch, and with an empty one when none has come for a while.
    """

    def __init__(self, name: str, most: int, stage: Stage = unchanged) -> None:
        super().__init__(f"deliver-{name}")
        self.most = most
        """Most finished batches that wait."""
        self._stage = stage
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._freed = threading.Condition(self._lock)
        self._done: dict[int, Sequence[Delivery]] = {}
        self._next = 0
        # The batch being delivered: if one delivery fails, those behind it are still made.
        self._current: deque[Delivery] = deque()
        self._draining = False

    def complete(self, number: int, batch: Sequence[Delivery]) -> None:
        """Take a finished batch; each number must come exactly once. Blocks while too many batches wait."""
        with self._lock:
            # The batch that all others wait for must never wait itself.
            while number != self._next and len(self._done) >= self.most and not self.stopping.is_set():
                self._freed.wait(_IDLE_S)
            self._done[number] = batch
            if number == self._next:
                self._ready.notify()

    def wake(self) -> None:
        """Make waiting threads check `stopping`."""
        with self._lock:
            self._ready.notify_all()
            self._freed.notify_all()

    def drain(self, timeout_s: float) -> bool:
        """Deliver all finished batches, then end; return True if that took at most `timeout_s`."""
        self._draining = True
        self.wake()
        self.join(timeout_s)
        return self.stop(0)

    def run_once(self) -> None:
        """Deliver one batch, or the rest of a batch whose delivery failed; end once drained."""
        if not self._current:
            batch = self._take()
            if not batch and self._draining and self._next not in self._done:
                self.stopping.set()
            # Also without results: a stage has things to do when nothing comes any more.
            self._current.extend(self._stage(batch))
        while self._current:
            delivery = self._current.popleft()
            delivery.destination.deliver(delivery.result)

    def failed(self, error: Exception) -> float:
        """Log the error and go on with the next result at once."""
        super().failed(error)
        return 0.0

    def _take(self) -> Sequence[Delivery]:
        with self._lock:
            if self._next not in self._done and not self._draining:
                self._ready.wait(_IDLE_S)
            if self._next not in self._done:
                return ()
            batch = self._done.pop(self._next)
            self._next += 1
            self._freed.notify_all()
            return batch
