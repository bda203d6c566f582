"""Limits how long opening a session may wait, and ends waits when the stream stops."""

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
class Deadline:
    """The time limit for opening a session.

    Attributes:
        clock: the source of time.
        stopping: set when the stream is to stop.
        deadline_s: monotonic time at which opening has failed.
        silence_s: how long the server may be silent, in seconds.
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
        """Return the monotonic time at which a wait of `within_s` ends if it begins now."""
        return min(self.deadline_s, self.clock.monotonic() + within_s)

    def wait(self, sock: socket.socket, events: int, limit_s: float) -> bool:
        """Wait for poll(2) `events` until the monotonic time `limit_s`; return False if that comes first.

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
        """Wait for an event until the deadline; return False if the deadline comes first.

        Raises:
            SourceError: the stream is to stop.
        """
        while not done.wait(min(max(self.left_s, 0), _LOOK_S)):
            self.check()
            if self.left_s <= 0:
                return False
        return True

    def check(self) -> None:
        """Raise an error if the stream is to stop.

        Raises:
            SourceError: the stream is to stop.
        """
        if self.stopping.is_set():
            raise SourceError("closed", "the source is closed")
