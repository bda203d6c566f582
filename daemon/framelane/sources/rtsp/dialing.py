"""Connects to a camera: looks its name up and tries the addresses in turn, and can be stopped meanwhile."""

from __future__ import annotations

import errno
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

from framelane.sources.faults import number_error

if TYPE_CHECKING:
    from framelane.sources.rtsp.patience import Patience

_Addresses = list[tuple[int, tuple[Any, ...]]]


def dial(host: str, port: int, patience: Patience) -> socket.socket:
    """A connected, non-blocking socket.

    Raises:
        SourceError: no address of the host takes the connection in time, or the stream is to stop.
    """
    addresses = _addresses(host, port, patience)
    number = errno.EIO
    for tried, (family, address) in enumerate(addresses):
        share_s = max(patience.left_s, 0) / (len(addresses) - tried)
        sock, number = _connect(family, address, patience, min(share_s, patience.silence_s))
        if sock is not None:
            return sock
    raise number_error(number)


def _connect(
    family: int, address: tuple[Any, ...], patience: Patience, within_s: float
) -> tuple[socket.socket | None, int]:
    """A connected socket, or None and the errno that says why not."""
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError as error:
        return None, error.errno or errno.EIO
    number = errno.EIO
    try:
        number = _connect_socket(sock, address, patience, within_s)
    except OSError as error:
        number = error.errno or errno.EIO
    finally:
        if number:
            sock.close()
    return (None if number else sock), number


def _connect_socket(
    sock: socket.socket, address: tuple[Any, ...], patience: Patience, within_s: float
) -> int:
    sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    number = sock.connect_ex(address)
    if number != errno.EINPROGRESS:
        return number
    if not patience.wait(sock, select.POLLOUT, patience.limit_s(within_s)):
        return errno.ETIMEDOUT
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _addresses(host: str, port: int, patience: Patience) -> _Addresses:
    """The host's addresses; a name is looked up on a thread of its own, since that can't be interrupted."""
    found: _Addresses = []
    if _look_up(host, port, found, socket.AI_NUMERICHOST):
        return found
    done = threading.Event()

    def look_up() -> None:
        _look_up(host, port, found)
        done.set()

    threading.Thread(target=look_up, name="rtsp-name-lookup", daemon=True).start()
    if not patience.join(done) or not found:
        raise number_error(errno.EIO)
    return found


def _look_up(host: str, port: int, found: _Addresses, flags: int = 0) -> bool:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        return False
    found += [(family, address) for family, _, _, _, address in answers]
    return bool(found)
