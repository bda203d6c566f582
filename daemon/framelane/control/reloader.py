"""The thread that reloads the configuration on a signal, and `streams_dir` when its files change."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from framelane.core.errors import FramelaneError
from framelane.core.worker import Worker

if TYPE_CHECKING:
    from framelane.control.changes import LiveConfig
    from framelane.control.stream_folder import StreamFolder

POLL_S = 1.0
RETRY_S = 30.0
"""Seconds between tries of a refused change, because a file it needs, such as a secret, may appear later."""


class Reloader(Worker):
    """Polls the folder, if there is one, and waits for requests; LiveConfig logs what fails."""

    def __init__(
        self,
        live: LiveConfig,
        folder: StreamFolder | None,
        poll_s: float = POLL_S,
        retry_s: float = RETRY_S,
    ) -> None:
        super().__init__("config")
        self._live = live
        self._folder = folder
        self._poll_s = poll_s
        self._retry_s = retry_s
        self._due_s = float("inf")
        self._requested = threading.Event()
        self._wakeup = threading.Event()

    def request(self) -> None:
        """Request a reload and return at once; safe in a signal handler."""
        self._requested.set()
        self._wakeup.set()

    def run_once(self) -> None:
        """Wait for a request or the next poll of the folder, and do what is due."""
        self._wakeup.wait(self._poll_s)
        self._wakeup.clear()
        with contextlib.suppress(FramelaneError):
            if self._requested.is_set():
                self._requested.clear()
                self._live.reload()
                self._due_s = float("inf")
            elif self._folder is not None and (self._folder.changed() or time.monotonic() >= self._due_s):
                self._due_s = time.monotonic() + self._retry_s
                self._live.reload_folder()
                self._due_s = float("inf")

    def wake(self) -> None:
        """End the wait, so that the thread sees `stopping`."""
        self._wakeup.set()
