"""Wakes a thread that waits in poll(), and costs nothing while it does not."""

from __future__ import annotations

import socket


class Waker:
    """A socket pair; only an armed one is written to, so that a busy receiver is never paid a system call."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.settimeout(0.0)
        self._sender.settimeout(0.0)
        self._armed = False

    def fileno(self) -> int:
        """What to poll for reading; call `drain` when it is readable."""
        return self._receiver.fileno()

    def arm(self) -> None:
        """From here on `wake` makes `fileno` readable; look for work once more after this."""
        self._armed = True

    def disarm(self) -> None:
        """From here on `wake` does nothing."""
        self._armed = False

    def drain(self) -> None:
        """Make `fileno` unreadable again."""
        try:
            self._receiver.recv(64)
        except BlockingIOError:
            return

    def wake(self) -> None:
        """Wake the thread, if it waits; from any thread."""
        if self._armed:
            self._armed = False
            try:
                self._sender.send(b"\0")
            except OSError:  # full, which wakes as well, or closed
                return

    def close(self) -> None:
        """Give both ends back; may be called twice."""
        self._armed = False
        self._receiver.close()
        self._sender.close()
