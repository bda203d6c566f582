"""A worker's end of the socket on which its parent watches the worker's streams.

The parent sends the commands of a page, one per line. The worker answers with records, as to a page.
"""

from __future__ import annotations

import select
import socket
from functools import partial
from typing import TYPE_CHECKING

from framelane.core.worker import Worker
from framelane.live.viewer import CommandError, Viewer

if TYPE_CHECKING:
    from framelane.core.clock import Clock
    from framelane.live.hub import Feeds

MOST_CHANNELS = 1 << 16
_SEND_S = 10.0
_AT_ONCE = 1 << 16
_MOST_LINE = 4096


class MediaLink(Worker):
    """Lets the parent watch. While the parent reads too slowly, video is skipped, as for a page.

    Args:
        link: the connected socket; closed when the thread ends.
        feeds: the worker's streams.
        clock: the source of time.
    """

    def __init__(self, link: socket.socket, feeds: Feeds, clock: Clock) -> None:
        super().__init__("live-link")
        self._link = link
        self._link.settimeout(_SEND_S)
        self._hears, self._rings = socket.socketpair()
        self._rings.settimeout(0.0)
        self._lines = b""
        self._poll = select.poll()
        self._poll.register(self._link, select.POLLIN)
        self._poll.register(self._hears, select.POLLIN)
        self._viewer = Viewer(feeds, clock, partial(_ring, self._rings), MOST_CHANNELS)

    def run_once(self) -> None:
        """Wait for a command or a record, and handle it."""
        ready = {descriptor for descriptor, _ in self._poll.poll()}
        if self._hears.fileno() in ready:
            self._hears.recv(_AT_ONCE)
        if self._link.fileno() in ready:
            self._read()
        while not self.stopping.is_set() and (message := self._viewer.take()):
            self._link.sendall(message)

    def failed(self, error: Exception) -> float:
        """End: the parent has ended, does not read, or sends what is no command."""
        if not isinstance(error, (OSError, CommandError)):
            super().failed(error)
        self.stopping.set()
        return 0.0

    def wake(self) -> None:
        """Make the thread check whether to stop."""
        _ring(self._rings)

    def ended(self) -> None:
        """Watch nothing more."""
        self._viewer.close()
        for each in (self._link, self._hears, self._rings):
            each.close()

    def _read(self) -> None:
        some = self._link.recv(_AT_ONCE)
        if not some:
            self.stopping.set()
        *lines, self._lines = (self._lines + some).split(b"\n")
        if len(self._lines) > _MOST_LINE:
            raise CommandError("a line without an end")
        for line in lines:
            self._viewer.command(line.decode(errors="replace"))


def _ring(bell: socket.socket) -> None:
    """Wake the other end. If it is full, it wakes anyway; if it is closed, nobody is there."""
    try:
        bell.send(b"!")
    except OSError:
        return
