"""A named thread with start and stop, the base of everything that runs on its own."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

import structlog

from framelane.core.libc import prctl

log = structlog.get_logger(__name__)

_PR_SET_NAME = 15  # linux/prctl.h; of more than 15 bytes it takes the first


class Worker(ABC):
    """One named daemon thread that calls `run_once` until it is stopped.

    `run_once` does one unit of work and raises; `run` only repeats it. What escapes `run_once` is handed to `failed`,
    which logs it and says after how long to go on: a fault in one worker never ends another.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.run, name=self.name, daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Ask the thread to end and wait for it up to `timeout_s`; True if it ended."""
        self.stopping.set()
        self.wake()
        return self.join(timeout_s)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the thread to end by itself up to `timeout_s`; True if it ended."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self.alive

    def run(self) -> None:
        """Repeat `run_once` until stopped; on a fault wait as `failed` says."""
        prctl(
            _PR_SET_NAME, self.name.encode()
        )  # for top(1), gdb and perf; Python does so itself from 3.14 on
        try:
            while not self.stopping.is_set():
                wait_s = 0.0
                try:
                    self.run_once()
                except Exception as error:  # noqa: BLE001 - the one place that keeps a fault inside its worker
                    wait_s = self.failed(error)
                # Not above: the error's traceback holds what run_once held, such as a camera's decoder.
                if wait_s:
                    self.rest(wait_s)
        finally:
            self.ended()

    @abstractmethod
    def run_once(self) -> None:
        """Do one unit of work; return often enough to notice `stopping`."""

    def failed(self, error: Exception) -> float:
        """Note a fault; return the seconds to wait before going on."""
        log.error("worker_failed", worker=self.name, error=str(error), exc_info=error)
        return 1.0

    def rest(self, wait_s: float) -> None:
        """Wait so long after a fault, or until stopped; override where something else may cut that short."""
        self.stopping.wait(wait_s)

    def ended(self) -> None:
        """Called on the thread when it ends, for releases that only it may do."""

    def wake(self) -> None:
        """Wake the thread out of a wait, so that it sees `stopping`; override where it waits on something else."""
