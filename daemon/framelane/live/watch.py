"""The thread that reads the configuration again: when a signal asked for it, or the folder of streams has changed."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from framelane.core.errors import FramelaneError
from framelane.core.worker import Worker

if TYPE_CHECKING:
    from framelane.live.changes import LiveConfig
    from framelane.live.folder import StreamFolder

POLL_S = 1.0
RETRY_S = 30.0
"""Between two tries of what was refused: what it needs, such as a secret's file or a model's, may come later."""


class ConfigWatch(Worker):
    """Polls the folder, if there is one, and waits for requests; what goes wrong is logged where it does."""

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
        self._asked = threading.Event()
        self._news = threading.Event()

    def request(self) -> None:
        """Have the files read again; returns at once, also within a signal handler."""
        self._asked.set()
        self._news.set()

    def run_once(self) -> None:
        """Wait for a request or the next look at the folder, and do what is due."""
        self._news.wait(self._poll_s)
        self._news.clear()
        with contextlib.suppress(FramelaneError):
            if self._asked.is_set():
                self._asked.clear()
                self._live.reload()
                self._due_s = float("inf")
            elif self._folder is not None and (self._folder.changed() or time.monotonic() >= self._due_s):
                self._due_s = time.monotonic() + self._retry_s
                self._live.reread()
                self._due_s = float("inf")

    def wake(self) -> None:
        """Look whether to stop."""
        self._news.set()
