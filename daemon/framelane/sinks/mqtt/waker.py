"""Wakes a thread that waits in poll(), at no cost while the thread is busy."""

from __future__ import annotations

import socket


class Waker:
    """A socket pair. Only an armed one is written to, so waking a busy thread needs no system call."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.settimeout(0.0)
        self._sender.settimeout(0.0)
        self._armed = False

    def fileno(self) -> int:
        """Return the descriptor to poll for reading; call `drain` when it is readable."""
        return self._receiver.fileno()

    def arm(self) -> None:
        """Let `wake` make `fileno` readable from now on. Look for work once more after this."""
        self._armed = True

    def disarm(self) -> None:
        """Let `wake` do nothing from now on."""
        self._armed = False

    def drain(self) -> None:
        """Make `fileno` unreadable again."""
        try:
            self._receiver.recv(64)
        except BlockingIOError:
            return

    def wake(self) -> None:
        """Wake the thread if it waits; from any thread."""
        if self._armed:
            self._armed = False
            try:
                self._sender.send(b"\0")
            except OSError:
                # Full, which wakes as well, or closed.
                return

    def close(self) -> None:
        """Close both ends. A repeated call does nothing."""
        self._armed = False
        self._receiver.close()
        self._sender.close()
