"""A non-blocking TCP connection to a server, with or without TLS."""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import suppress
from typing import Protocol

from framelane.core.errors import SourceError
from framelane.sources.network.ffmpeg_errors import number_error

CHUNK_BYTES = 64 << 10
"""Bytes per read. More than usually waits, but too few for malloc to ask the kernel for memory each time."""
_MOST_UNSENT_BYTES = 64 << 10


class Cipher(Protocol):
    """Encrypts and decrypts a connection's bytes. Its methods raise OSError if the connection is broken."""

    ended: bool
    """Whether the server has announced the end of its data."""

    def encrypt(self, data: bytes) -> bytes:
        """Return the bytes to send for `data`."""
        ...

    def decrypt(self, data: bytes) -> bytes:
        """Return what has become decryptable with `data`."""
        ...

    def output(self) -> bytes:
        """Return what TLS itself wants to send."""
        ...


class Connection:
    """Reads and writes RTSP over TCP.

    Args:
        sock: connected and non-blocking; closed by close().
        tls: the cipher, after its handshake; None for `rtsp://`.
    """

    def __init__(self, sock: socket.socket, tls: Cipher | None = None) -> None:
        self.socket = sock
        self._tls = tls
        self._unsent = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for poll(2)."""
        return self.socket.fileno()

    def write(self, data: bytes) -> None:
        """Send as much of a message as the server takes now; `flush` sends the rest.

        If too much is unsent, new messages are dropped. The read timeout will then report the silent server.

        Raises:
            OSError: the connection is broken.
        """
        if len(self._unsent) < _MOST_UNSENT_BYTES:
            self._unsent += data if self._tls is None else self._tls.encrypt(data)
        self.flush()

    def flush(self) -> bool:
        """Send the rest of earlier messages and return whether everything is sent.

        Raises:
            OSError: the connection is broken.
        """
        while self._unsent:
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                return False
            del self._unsent[:sent]
        return True

    def read(self) -> tuple[bytes, bool] | None:
        """Return received data and whether the socket is drained; None after the server's end of data.

        The data may be empty if only a part of a TLS record came.

        Raises:
            BlockingIOError: nothing has come.
            OSError: the connection is broken.
        """
        data = self.socket.recv(CHUNK_BYTES)
        drained = len(data) < CHUNK_BYTES
        tls = self._tls
        if tls is None or not data:
            return (data, drained) if data else None
        data = tls.decrypt(data)
        self._unsent += tls.output()
        self.flush()
        return None if tls.ended and not data else (data, drained)

    def close(self, last: bytes = b"") -> None:
        """Send a last message if it fits at once, and close. A repeated call does nothing."""
        if self.socket.fileno() < 0:
            return
        with self.socket, suppress(OSError):
            if last:
                self.write(last)
            self.socket.shutdown(socket.SHUT_WR)


def broken_error(error: OSError) -> SourceError:
    """Translate a connection's error into a SourceError. TLS errors have no errno."""
    if isinstance(error, ssl.SSLError):
        return SourceError("lost", f"the TLS connection broke ({error.reason or type(error).__name__})")
    return number_error(error.errno or errno.EIO)
