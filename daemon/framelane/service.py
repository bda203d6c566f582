"""The life of the process: signals, readiness, the wait, and the stop."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import sdnotify
import structlog

from framelane.app import App

if TYPE_CHECKING:
    from types import FrameType

    from framelane.config.schema import Config

log = structlog.get_logger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOOK_S = 0.5


class Service:
    """Runs one App until a signal, or until every stream has ended where that is asked for.

    The first SIGTERM or SIGINT drains and ends with 0; a second one ends the process at once, with 128 + its number.
    """

    def __init__(self, config: Config) -> None:
        self.app = App(config)
        self.stopping = threading.Event()
        self._node = config.node

    def run(self) -> None:
        """Start, wait and stop; call it on the main thread.

        Raises:
            FramelaneError: the app can't start; what had started is stopped again.
        """
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        try:
            self.app.start()
            _tell_systemd("READY=1")
            self._wait()
        finally:
            _tell_systemd("STOPPING=1")
            self.app.stop(self._node.shutdown_s)

    def _wait(self) -> None:
        while not self.stopping.wait(_LOOK_S):
            if self._node.exit_when_ended and self.app.ended:
                log.info("ended", text="every stream has been played to its end")
                return

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping.is_set():
            os._exit(128 + number)
        self.stopping.set()


def _tell_systemd(news: str) -> None:
    """Notify the service manager, where there is one; sdnotify leaves its socket open."""
    if os.environ.get("NOTIFY_SOCKET"):
        notifier = sdnotify.SystemdNotifier()
        notifier.notify(news)
        notifier.socket.close()
