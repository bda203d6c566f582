"""A named thread with start and stop, the base of all threads."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

import structlog

from framelane.core.libc import prctl

log = structlog.get_logger(__name__)

# From linux/prctl.h; the kernel truncates names to 15 bytes.
_PR_SET_NAME = 15


class Worker(ABC):
    """One named daemon thread that calls `run_once` until it is stopped.

    `run_once` does one unit of work and raises; `run` only repeats it. An exception of `run_once` goes to
    `failed`, which logs it and returns the wait before the next call. So a fault in one worker never ends
    another.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.run, name=self.name, daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Ask the thread to end and wait up to `timeout_s` for it; return whether it ended."""
        self.stopping.set()
        self.wake()
        return self.join(timeout_s)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait up to `timeout_s` for the thread to end by itself; return whether it ended."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self.alive

    def run(self) -> None:
        """Repeat `run_once` until stopped; after a fault wait as long as `failed` returns."""
        # For top(1), gdb and perf; Python sets the name itself from 3.14 on.
        prctl(_PR_SET_NAME, self.name.encode())
        try:
            while not self.stopping.is_set():
                wait_s = 0.0
                try:
                    self.run_once()
                except Exception as error:  # noqa: BLE001 - keeps a fault inside its worker
                    wait_s = self.failed(error)
                # Not in `except`: the traceback keeps the objects of run_once alive, such as a decoder.
                if wait_s:
                    self.rest(wait_s)
        finally:
            self.ended()

    @abstractmethod
    def run_once(self) -> None:
        """Do one unit of work, and return often enough to notice `stopping`."""

    def failed(self, error: Exception) -> float:
        """Log a fault; return the seconds to wait before the next `run_once`."""
        log.error("worker_failed", worker=self.name, error=str(error), exc_info=error)
        return 1.0

    def rest(self, wait_s: float) -> None:
        """Wait this long after a fault, or until stopped; override if something else can end the wait."""
        self.stopping.wait(wait_s)

    def ended(self) -> None:
        """Release what only this thread may release; called on the thread when it ends."""

    def wake(self) -> None:
        """Wake the thread so that it sees `stopping`; override if it waits for something else."""
