"""A socket that reads and writes in large pieces, for a client that works in bytes or packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 65_536


class Socket(Protocol):
    """The interface of the inner socket, with or without TLS."""

    def recv(self, size: int, /) -> bytes:
        """Return received bytes, at most `size`."""
        ...

    def send(self, data: bytes | bytearray, /) -> int:
        """Send some of the data and return how many bytes."""
        ...

    def close(self) -> None:
        """Close the socket."""
        ...

    def fileno(self) -> int:
        """Return the descriptor."""
        ...

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - a socket's own
        """Set whether calls block."""
        ...


class BufferedSocket:
    """Sends small writes together while `more` says that further ones follow, and reads ahead.

    It never holds data that would not be sent: the last packet is accepted only together with all before it.
    """

    def __init__(self, sock: Socket, more: Callable[[], bool]) -> None:
        self._sock = sock
        self._more = more
        self._out = bytearray()
        self._came = b""
        self._at = 0

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes.

        Raises:
            BlockingIOError: no data waits; with TLS, an SSLError that says so.
        """
        self._fetch()
        end = min(self._at + size, len(self._came))
        data = self._came[self._at : end]
        self._at = end
        return data

    def peek(self) -> bytes:
        """Return unread data; empty if the connection has failed, which `recv` will report."""
        try:
            self._fetch()
        except OSError:
            return b""
        return self._came[self._at :] if self._at else self._came

    def skip(self, length: int) -> None:
        """Discard `length` bytes of what `peek` returned."""
        self._at += length

    @property
    def peeked(self) -> bool:
        """Whether `peek` would return data without reading from the network."""
        return self._at < len(self._came)

    def send(self, data: bytes | bytearray) -> int:
        """Take data, send it with all that waits unless more follows, and return how many bytes were taken.

        Raises:
            BlockingIOError: nothing was taken; with TLS, an SSLError that says so.
        """
        waited = len(self._out)
        self._out += data
        if self._more() and len(self._out) < _PIECE:
            return len(data)
        try:
            sent = self._sock.send(self._out)
        except OSError:
            del self._out[waited:]
            raise
        del self._out[:sent]
        taken = sent - waited
        if taken < len(data):
            # The caller offers the rest again, because it was told that it was not taken.
            del self._out[max(waited - sent, 0) :]
            if taken <= 0:
                raise BlockingIOError
        return taken

    def pending(self) -> int:
        """Return how many bytes were read from the network but not yet returned."""
        within: Callable[[], int] = getattr(self._sock, "pending", int)
        return len(self._came) - self._at + within()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - a socket's own
        """Set whether calls block."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """Close the socket. Unsent data is lost."""
        self._sock.close()

    def _fetch(self) -> None:
        if not self.peeked:
            self._came, self._at = self._sock.recv(_PIECE), 0
