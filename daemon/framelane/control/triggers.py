"""Triggers of a configuration change other than HTTP: a signal, the control socket, the watched folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.control.reload_socket import ControlSocket
from framelane.control.reloader import Reloader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.control.changes import LiveConfig
    from framelane.control.stream_folder import StreamFolder

_STOP_S = 1.0


class ConfigTriggers:
    """Accepts changes of a configuration from the node's start until it stops."""

    def __init__(self, live: LiveConfig, folder: StreamFolder | None, environ: Mapping[str, str]) -> None:
        self._live = live
        self._watch = Reloader(live, folder)
        self._control = ControlSocket(live.path, environ, live.reload)

    def start(self) -> None:
        """Accept changes."""
        self._live.open()
        self._watch.start()
        self._control.start()

    def stop(self) -> None:
        """Accept no more changes; one in progress may continue for a moment."""
        self._live.close()
        self._watch.stop(_STOP_S)
        self._control.stop(_STOP_S)

    def request_reload(self) -> None:
        """Request a reload; safe in a signal handler."""
        self._watch.request()
