"""Waits on a socket no longer than there is time, and not at all once the stream is to stop."""

from __future__ import annotations

import select
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError

if TYPE_CHECKING:
    import socket
    import threading

    from framelane.core.clock import Clock

_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Patience:
    """How long opening may take.

    Attributes:
        clock: the time.
        stopping: set when the stream is to stop.
        deadline_s: monotonic time at which opening has failed.
        silence_s: the longest time in which nothing comes.
    """

    clock: Clock
    stopping: threading.Event
    deadline_s: float
    silence_s: float

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline_s - self.clock.monotonic()

    def limit_s(self, within_s: float) -> float:
        """The monotonic time at which a wait that begins now is over."""
        return min(self.deadline_s, self.clock.monotonic() + within_s)

    def wait(self, sock: socket.socket, events: int, limit_s: float) -> bool:
        """Wait for poll(2) `events` until the monotonic time `limit_s`; False where it comes first.

        Raises:
            SourceError: the stream is to stop.
        """
        poller = select.poll()
        poller.register(sock, events)
        while True:
            self.check()
            left_s = limit_s - self.clock.monotonic()
            if left_s <= 0:
                return False
            if poller.poll(min(left_s, _LOOK_S) * 1000):
                return True

    def join(self, done: threading.Event) -> bool:
        """Wait for an event until the deadline; False where that comes first.

        Raises:
            SourceError: the stream is to stop.
        """
        while not done.wait(min(max(self.left_s, 0), _LOOK_S)):
            self.check()
            if self.left_s <= 0:
                return False
        return True

    def check(self) -> None:
        """Go on unless the stream is to stop.

        Raises:
            SourceError: it is.
        """
        if self.stopping.is_set():
            raise SourceError("closed", "the source is closed")
