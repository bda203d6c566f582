"""A socket that reads and writes in large pieces, for a client that asks for a byte or a packet at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 65_536


class Socket(Protocol):
    """What is asked of the socket within: a plain one or one of TLS."""

    def recv(self, size: int, /) -> bytes:
        """What has come, at most so much."""
        ...

    def send(self, data: bytes | bytearray, /) -> int:
        """Send some of it; returns how much."""
        ...

    def close(self) -> None:
        """Close it."""
        ...

    def fileno(self) -> int:
        """Its descriptor."""
        ...

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - a socket's own
        """Whether calls wait."""
        ...


class GatheringSocket:
    """What is sent while `more` is to come goes out together; what has come is read at once and handed out.

    It never holds data that nobody would ask it to send: the last packet is taken only with all those before it.
    """

    def __init__(self, sock: Socket, more: Callable[[], bool]) -> None:
        self._sock = sock
        self._more = more
        self._out = bytearray()
        self._came = b""
        self._at = 0

    def recv(self, size: int) -> bytes:
        """At most so many bytes.

        Raises:
            BlockingIOError: none are there; of TLS an SSLError that says so.
        """
        self._fetch()
        end = min(self._at + size, len(self._came))
        data = self._came[self._at : end]
        self._at = end
        return data

    def peek(self) -> bytes:
        """What has come and was not handed out; nothing where the connection has failed, as `recv` will tell."""
        try:
            self._fetch()
        except OSError:
            return b""
        return self._came[self._at :] if self._at else self._came

    def skip(self, length: int) -> None:
        """Hand out so many bytes of what `peek` gave to nobody."""
        self._at += length

    @property
    def peeked(self) -> bool:
        """Whether `peek` would give something without asking the network."""
        return self._at < len(self._came)

    def send(self, data: bytes | bytearray) -> int:
        """Take data, and send it with all that waits unless more comes; returns how much of it was taken.

        Raises:
            BlockingIOError: nothing was taken; of TLS an SSLError that says so.
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
            # The rest is offered again, by who was told that it was not taken.
            del self._out[max(waited - sent, 0) :]
            if taken <= 0:
                raise BlockingIOError
        return taken

    def pending(self) -> int:
        """Bytes that have been read from the network and not handed out."""
        within: Callable[[], int] = getattr(self._sock, "pending", int)
        return len(self._came) - self._at + within()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - a socket's own
        """Whether calls wait."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """Close the socket; what waits is lost."""
        self._sock.close()

    def _fetch(self) -> None:
        if not self.peeked:
            self._came, self._at = self._sock.recv(_PIECE), 0
