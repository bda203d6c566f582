"""A mosquitto that is configured to lose no message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from framelane.measure.errors import BenchError
from lab.chaos.victim import Victim
from lab.neighbors import free_port, mosquitto, wait_for_port

if TYPE_CHECKING:
    from pathlib import Path

_SAVE_S = 5
_SAVED_S = 20.0
_POLL_S = 0.1


class SteadfastBroker(Victim):
    """Mosquitto with persistence: sessions, retained messages and queued messages survive a restart.

    On SIGTERM it saves all of them. On SIGKILL it loses messages that it acknowledged after the last save and
    has not delivered; no client can prevent that. To measure only the daemon's losses, kill it only while
    nothing is queued in it. With a connected subscriber that has received everything nothing is queued:
    mosquitto 2 writes a message to the subscriber's socket before it acknowledges it, and the kernel delivers
    what is in the socket.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._saved = folder / "mosquitto.db"
        settings = [
            "persistence true",
            f"persistence_location {folder}/",
            f"autosave_interval {_SAVE_S}",
            # The defaults are 20 and 1000 per subscriber; more messages are dropped while it is away.
            "max_inflight_messages 1000",
            "max_queued_messages 0",
        ]
        super().__init__(
            lambda: mosquitto(folder, self.port, settings), lambda child: wait_for_port(child, self.port)
        )

    @property
    def url(self) -> str:
        """Return the URL for clients."""
        return f"mqtt://127.0.0.1:{self.port}"

    def wait_saved(self) -> None:
        """Wait until it has saved once: from then on subscribers keep their sessions even after SIGKILL.

        Raises:
            BenchError: it does not save in time.
        """
        deadline_s = time.monotonic() + _SAVED_S
        began = time.time()
        while not self._saved.exists() or self._saved.stat().st_mtime < began:
            if time.monotonic() > deadline_s:
                raise BenchError(f"the broker did not save within {_SAVED_S:g} s")
            time.sleep(_POLL_S)
