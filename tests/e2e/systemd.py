"""The socket that systemd listens on, and what comes in."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE_S = 60.0


class NotifySocket:
    """`with NotifySocket(folder) as systemd:`; `environment` is what systemd gives a unit with WatchdogSec=2."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.heard: list[str] = []

    def __enter__(self) -> NotifySocket:
        self._socket.bind(str(self._path))
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self._path), "WATCHDOG_USEC": "2000000"}

    def listen(self, seconds: float) -> list[str]:
        """What comes within so long."""
        return self._listen(seconds, lambda _: False)

    def wait_for(self, wanted: Callable[[str], bool]) -> str:
        """The first message from now on that is wanted."""
        heard = self._listen(PATIENCE_S, wanted)
        assert heard, self.heard
        assert wanted(heard[-1]), self.heard
        return heard[-1]

    def _listen(self, seconds: float, enough: Callable[[str], bool]) -> list[str]:
        deadline_s = time.monotonic() + seconds
        heard: list[str] = []
        while (left_s := deadline_s - time.monotonic()) > 0 and not (heard and enough(heard[-1])):
            self._socket.settimeout(left_s)
            try:
                heard.append(self._socket.recv(4096).decode())
            except TimeoutError:
                break
        self.heard += heard
        return heard
