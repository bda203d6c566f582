"""A mosquitto as an operator sets it up who wants no message lost, and what even it can't keep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from framelane.bench.chaos.victim import Victim
from framelane.bench.errors import BenchError
from framelane.bench.neighbours import free_port, mosquitto, wait_for_port

if TYPE_CHECKING:
    from pathlib import Path

_SAVE_S = 5
_SAVED_S = 20.0
_POLL_S = 0.1


class SteadfastBroker(Victim):
    """Mosquitto with persistence: sessions, retained messages and what waits for subscribers survive a restart.

    On SIGTERM it saves all of that. On SIGKILL what it has acknowledged since it saved last, and not passed on, is
    lost: no client can help there. So who wants to see what the daemon loses must kill it only while nothing is
    queued in it. With a subscriber connected and in step nothing is: mosquitto 2 writes a message to the
    subscriber's socket before it acknowledges it, and the kernel delivers what is in there.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._saved = folder / "mosquitto.db"
        settings = [
            "persistence true",
            f"persistence_location {folder}/",
            f"autosave_interval {_SAVE_S}",
            # By default 20 and 1000 for each subscriber: what comes on top while one is away is dropped.
            "max_inflight_messages 1000",
            "max_queued_messages 0",
        ]
        super().__init__(
            lambda: mosquitto(folder, self.port, settings), lambda child: wait_for_port(child, self.port)
        )

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"mqtt://127.0.0.1:{self.port}"

    def wait_saved(self) -> None:
        """Return when it has saved once: from now on even SIGKILL leaves its subscribers their sessions.

        Raises:
            BenchError: it saves nothing.
        """
        deadline_s = time.monotonic() + _SAVED_S
        began = time.time()
        while not self._saved.exists() or self._saved.stat().st_mtime < began:
            if time.monotonic() > deadline_s:
                raise BenchError(f"the broker saves nothing within {_SAVED_S:g} s")
            time.sleep(_POLL_S)
