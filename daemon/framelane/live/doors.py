"""The ways to a running daemon's configuration beside HTTP: a signal, the control socket, the watched folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.live.control import ControlSocket
from framelane.live.watch import ConfigWatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.live.changes import LiveConfig
    from framelane.live.folder import StreamFolder

_STOP_S = 1.0


class Doors:
    """Opens a configuration to changes when the node has started, and closes it before it stops."""

    def __init__(self, live: LiveConfig, folder: StreamFolder | None, environ: Mapping[str, str]) -> None:
        self._live = live
        self._watch = ConfigWatch(live, folder)
        self._control = ControlSocket(live.path, environ, live.reload)

    def start(self) -> None:
        """Take changes."""
        self._live.open()
        self._watch.start()
        self._control.start()

    def stop(self) -> None:
        """Take no more; one that is under way may go on for a moment."""
        self._live.close()
        self._watch.stop(_STOP_S)
        self._control.stop(_STOP_S)

    def request_reload(self) -> None:
        """Have the files read again soon; for a signal handler."""
        self._watch.request()
