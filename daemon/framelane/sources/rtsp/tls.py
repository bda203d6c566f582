"""TLS of an `rtsps://` connection, without its socket: bytes in, bytes out.

The socket is read in large pieces, as without TLS. Python's own TLS socket would read record by record, and
cameras put each packet into its own record. It would also buffer data that epoll does not know of.
"""

from __future__ import annotations

import errno
import select
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.sources.network.certificates import refusal_error
from framelane.sources.network.ffmpeg_errors import garbage_error, number_error
from framelane.sources.rtsp.connection import CHUNK_BYTES, broken_error

if TYPE_CHECKING:
    import socket

    from framelane.sources.rtsp.deadline import Deadline

# RFC 8446 section 5.1.
_RECORD_BYTES = 16 << 10


class TlsLayer:
    """Encrypts and decrypts one connection.

    Args:
        context: decides which certificates to trust.
        host: the name or address that the certificate must be for.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # The zone of a link-local address has a meaning on this host only.
        name = host.partition("%")[0]
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self.ended = False
        """Whether the server has ended TLS."""

    def shake_hands(self, data: bytes) -> bool:
        """Take received handshake data and return whether the handshake is complete.

        Raises:
            SSLError: the handshake failed.
        """
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def output(self) -> bytes:
        """Return the bytes to send now."""
        return self._outgoing.read()

    def encrypt(self, data: bytes) -> bytes:
        """Return the encrypted bytes to send for `data`.

        Raises:
            SSLError: the server has ended TLS.
        """
        self._tls.write(data)
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """Return the contents of the records that are complete with `data`.

        Raises:
            SSLError: a record is damaged.
        """
        self._incoming.write(data)
        pieces = []
        with suppress(ssl.SSLWantReadError):
            while piece := self._tls.read(_RECORD_BYTES):
                pieces.append(piece)
            self.ended = True
        return b"".join(pieces)


def secure(sock: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> TlsLayer:
    """Do the TLS handshake on a connected, non-blocking socket.

    Raises:
        SourceError: the certificate is not accepted, the answer is not TLS, or nothing comes in time.
    """
    try:
        layer = TlsLayer(context, host)
    except ValueError:
        # No certificate can be for this name.
        raise SourceError("invalid", "the URL's host is no name for TLS; check the URL") from None
    data = b""
    while True:
        fault: SourceError | None = None
        over = False
        try:
            over = layer.shake_hands(data)
        except ssl.SSLCertVerificationError as error:
            fault = refusal_error(error)
        except ssl.SSLError as error:
            fault = _no_handshake(error)
        _send(sock, layer.output(), deadline, waiting=fault is None)
        if fault is not None:
            raise fault
        if over:
            return layer
        data = _receive(sock, deadline)


def _no_handshake(error: ssl.SSLError) -> SourceError:
    words = (error.reason or type(error).__name__).replace("_", " ").lower()
    return SourceError(
        "invalid", f"the TLS handshake failed ({words}); check the URL's port and the camera's TLS version"
    )


def _send(sock: socket.socket, data: bytes, deadline: Deadline, *, waiting: bool) -> None:
    """Send all data. Unless `waiting`, send only what fits at once (an alert)."""
    view, limit_s = memoryview(data), deadline.limit_s(deadline.silence_s)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            if not waiting:
                return
            _await(sock, select.POLLOUT, deadline, limit_s)
        except OSError as error:
            if not waiting:
                return
            raise broken_error(error) from None


def _receive(sock: socket.socket, deadline: Deadline) -> bytes:
    limit_s = deadline.limit_s(deadline.silence_s)
    while True:
        _await(sock, select.POLLIN, deadline, limit_s)
        try:
            data = sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            continue
        except OSError as error:
            raise broken_error(error) from None
        if not data:
            raise number_error(errno.ECONNRESET)
        return data


def _await(sock: socket.socket, events: int, deadline: Deadline, limit_s: float) -> None:
    if not deadline.wait(sock, events, limit_s):
        raise garbage_error(silent=True)
