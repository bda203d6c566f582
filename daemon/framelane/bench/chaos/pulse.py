"""The service manager's part (sd_notify(3)): it hears how the daemon feeds its watchdog."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from framelane.core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LOOK_S = 0.5
_MOST_BYTES = 4096


class Pulse(Worker):
    """Listens where the daemon tells that it gets on: it stops to where a thread has ended, hangs, or frames wait.

    Attributes:
        feeds: how often it fed its watchdog.
        longest_s: the longest time between two feeds.
    """

    def __init__(self, address: Path, bites_s: float) -> None:
        super().__init__("pulse")
        self.feeds = 0
        self.longest_s = 0.0
        self._bites_s = bites_s
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._socket.settimeout(_LOOK_S)
        self._fed_s: float | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What systemd would set."""
        return {"NOTIFY_SOCKET": str(self._address), "WATCHDOG_USEC": str(round(self._bites_s * 1e6))}

    def run_once(self) -> None:
        """Hear one message, if one comes."""
        try:
            lines = self._socket.recv(_MOST_BYTES).split(b"\n")
        except TimeoutError:
            return
        if b"WATCHDOG=1" in lines:
            now_s = time.monotonic()
            if self._fed_s is not None:
                self.longest_s = max(self.longest_s, now_s - self._fed_s)
            self._fed_s = now_s
            self.feeds += 1

    def ended(self) -> None:
        """Count what has passed since the last feed, too."""
        if self._fed_s is not None:
            self.longest_s = max(self.longest_s, time.monotonic() - self._fed_s)
        self._socket.close()
