"""Decodes all live streams of a process on a few threads, in fair turns."""

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
"""A thread that decodes on NVDEC waits for it nearly all the time.

This many threads keep its engines busy.
"""
_CREDIT_S = 0.25


def cpu_threads() -> int:
    """Return the number of decoding threads: one per core of this process."""
    return len(os.sched_getaffinity(0))


class Job(Protocol):
    """Work that is done in steps: a stream to decode."""

    def step(self) -> bool:
        """Decode one unit and return whether there is more."""
        ...


class _Done:
    """The job of a withdrawn turn; it holds no references."""

    def step(self) -> bool:
        """Return False: no work is left."""
        return False


_DONE = _Done()


class Turn:
    """A job's place in a pool. Only the pool accesses its attributes.

    Attributes:
        job: the stream to decode.
        spent_s: decoding time spent on it in seconds, with corrections for idle time.
        running: lock of the thread that decodes it.
        waits: whether it is queued.
        busy: whether a thread is decoding it.
        again: whether more units came while a thread was decoding it.
        closed: whether it was withdrawn.
    """

    __slots__ = ("again", "busy", "closed", "job", "running", "spent_s", "waits")

    def __init__(self, job: Job) -> None:
        self.job: Job = job
        self.spent_s = 0.0
        self.running = threading.Lock()
        self.waits = self.busy = self.again = self.closed = False


class DecodePool:
    """Decodes many streams on a few threads. Each stream is decoded by one thread at a time, in order.

    The next turn goes to the stream on which the pool has spent the least time. So a stream with large
    pictures does not slow down the others. Under overload, each stream gets the same share, and what one does
    not use goes to those that need more (start-time fair queueing: Goyal, Vin and Cheng, 1996). A stream that
    was idle for a while gets only little credit for that time.

    Args:
        name: prefix of the thread names.
        threads: the most threads to run; they start when needed.
        clock: the source of time.
    """

    def __init__(self, name: str, threads: int, clock: Clock) -> None:
        self._name = name
        self._most = threads
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: list[tuple[float, int, Turn]] = []
        self._numbers = itertools.count()
        self._now_spent_s = 0.0
        # One token per waiting turn; None ends a thread. Its get() is Python's cheapest way to sleep.
        self._tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._workers: list[_Decoder] = []
        self._idle = 0
        self._stopped = False

    def submit(self, turn: Turn) -> None:
        """Queue a job that has something to decode. Returns at once."""
        with self._lock:
            if turn.waits or turn.closed:
                return
            if turn.busy:
                turn.again = True
                return
            self._queue(turn)

    def withdraw(self, turn: Turn) -> None:
        """Stop decoding a job. No thread works on it any more once this returns."""
        with self._lock:
            turn.closed = True
        with turn.running:
            # Breaks a reference cycle of job and turn, which would keep the decoder until the next garbage
            # collection.
            turn.job = _DONE

    def stop(self, timeout_s: float) -> None:
        """End the threads. A thread that hangs in a decoder for longer than `timeout_s` is abandoned."""
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
        """Wait for the next turn and decode one unit; called by the pool's threads."""
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
        """Decode one unit of the stream whose turn it is."""
        self._pool.take_turn()

    def failed(self, error: Exception) -> float:
        """Continue with other streams at once. A job reports its own errors."""
        super().failed(error)
        return 0.0
