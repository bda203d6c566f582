"""The service manager's side of sd_notify(3): receives the daemon's watchdog messages."""

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
    """Receives the watchdog messages, which stop if a thread has ended or hangs, or frames make no progress.

    Attributes:
        feeds: number of watchdog messages.
        longest_s: longest time between two of them.
    """

    def __init__(self, address: Path, watchdog_s: float) -> None:
        super().__init__("pulse")
        self.feeds = 0
        self.longest_s = 0.0
        self._watchdog_s = watchdog_s
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._socket.settimeout(_LOOK_S)
        self._fed_s: float | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the environment that systemd would set."""
        return {"NOTIFY_SOCKET": str(self._address), "WATCHDOG_USEC": str(round(self._watchdog_s * 1e6))}

    def run_once(self) -> None:
        """Receive one message, if there is one."""
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
        """Include the time since the last message."""
        if self._fed_s is not None:
            self.longest_s = max(self.longest_s, time.monotonic() - self._fed_s)
        self._socket.close()
