"""Threads that decode for all live streams of a process, in fair turns."""

from __future__ import annotations

import heapq
import itertools
import os
import queue
import threading
from typing import TYPE_CHECKING, Protocol

from framelane.core.worker import Worker

if TYPE_CHECKING:
    from framelane.core.clock import Clock

NVDEC_THREADS = 16
"""A thread that decodes on NVDEC waits for it nearly all the time. So many keep its engines busy."""
_CREDIT_S = 0.25


def cpu_threads() -> int:
    """As many decoding threads as this process has cores."""
    return len(os.sched_getaffinity(0))


class Job(Protocol):
    """Something that is decoded piece by piece: a stream."""

    def step(self) -> bool:
        """Decode a piece; True if there is more."""
        ...


class _Done:
    """The job of a turn that is over, which holds nothing."""

    def step(self) -> bool:
        """Nothing is left to do."""
        return False


_DONE = _Done()


class Turn:
    """A job's place in a pool. Only the pool looks into it.

    Attributes:
        job: what is decoded.
        spent_s: seconds that the pool has decoded for it, or what counts as such.
        running: held by the thread that decodes for it.
        waits: whether it is queued.
        busy: whether it is being decoded.
        again: whether there is more for it, although it is being decoded.
        closed: whether it is over.
    """

    __slots__ = ("again", "busy", "closed", "job", "running", "spent_s", "waits")

    def __init__(self, job: Job) -> None:
        self.job: Job = job
        self.spent_s = 0.0
        self.running = threading.Lock()
        self.waits = self.busy = self.again = self.closed = False


class DecodePool:
    """Decodes for many streams on a few threads; of one stream always on one of them at a time, in order.

    The stream whose turn it is is the one for which the pool has spent the least time. So one with large pictures
    takes nothing from the others: under overload each gets the same share, and what one leaves goes to those that
    want more (start-time fair queueing, Goyal, Vin and Cheng, 1996). A stream that had nothing to decode for a while
    is not owed for all of that time.

    Args:
        name: of its threads.
        threads: how many there are at most; they start as they are needed.
        clock: where the time is read.
    """

    def __init__(self, name: str, threads: int, clock: Clock) -> None:
        self._name = name
        self._most = threads
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: list[tuple[float, int, Turn]] = []
        self._numbers = itertools.count()
        self._now_spent_s = 0.0
        # One token a turn that waits, None to end a thread. Its get is the cheapest way to sleep that Python has.
        self._tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._workers: list[_Decoder] = []
        self._idle = 0
        self._stopped = False

    def submit(self, turn: Turn) -> None:
        """There is something to decode for a job; returns at once."""
        with self._lock:
            if turn.waits or turn.closed:
                return
            if turn.busy:
                turn.again = True
                return
            self._queue(turn)

    def withdraw(self, turn: Turn) -> None:
        """Decode nothing more for a job; returns when no thread is at it any more."""
        with self._lock:
            turn.closed = True
        with turn.running:
            # The job holds its turn: the two would wait for the garbage collector, and a decoder with them.
            turn.job = _DONE

    def stop(self, timeout_s: float) -> None:
        """End the threads; those that hang in a decoder after `timeout_s` are left to their fate."""
        with self._lock:
            self._stopped = True
            workers = list(self._workers)
        for worker in workers:
            worker.stopping.set()
            self._tokens.put(item=False)
        deadline_s = self._clock.monotonic() + timeout_s
        for worker in workers:
            worker.join(max(deadline_s - self._clock.monotonic(), 0.0))

    def take_turn(self) -> None:
        """Wait for the next turn and decode a piece; called by the pool's threads."""
        with self._lock:
            self._idle += 1
        token = self._tokens.get()
        with self._lock:
            self._idle -= 1
            if not token or not self._turns:
                return
            spent_s, _, turn = heapq.heappop(self._turns)
            self._now_spent_s = max(self._now_spent_s, spent_s)
            turn.waits = False
            if turn.closed:
                return
            turn.busy = True
            turn.running.acquire()
        began_s, more = self._clock.monotonic(), False
        try:
            more = turn.job.step()
        finally:
            with self._lock:
                turn.spent_s += self._clock.monotonic() - began_s
                turn.busy = False
                if (more or turn.again) and not turn.closed:
                    self._queue(turn)
                turn.again = False
            turn.running.release()

    def _queue(self, turn: Turn) -> None:
        turn.spent_s = max(turn.spent_s, self._now_spent_s - _CREDIT_S)
        turn.waits = True
        heapq.heappush(self._turns, (turn.spent_s, next(self._numbers), turn))
        self._tokens.put(item=True)
        if self._idle < len(self._turns) and len(self._workers) < self._most and not self._stopped:
            worker = _Decoder(f"{self._name}-{len(self._workers)}", self)
            self._workers.append(worker)
            worker.start()


class _Decoder(Worker):
    """One of a pool's threads."""

    def __init__(self, name: str, pool: DecodePool) -> None:
        super().__init__(name)
        self._pool = pool

    def run_once(self) -> None:
        """Decode a piece of the stream whose turn it is."""
        self._pool.take_turn()

    def failed(self, error: Exception) -> float:
        """A job's own faults are its own to tell; go on with the others at once."""
        super().failed(error)
        return 0.0
