"""Connects to a camera: resolves its name and tries each address. Both can be interrupted."""

from __future__ import annotations

import errno
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

from framelane.sources.network.ffmpeg_errors import number_error, unresolved_error
from framelane.sources.network.host_names import look_up

if TYPE_CHECKING:
    from framelane.sources.network.host_names import HostAddress
    from framelane.sources.rtsp.deadline import Deadline


def dial(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Return a connected, non-blocking socket.

    Raises:
        SourceError: no address of the host accepts the connection in time, or the stream is to stop.
    """
    addresses = _addresses(host, port, deadline)
    number = errno.EIO
    for tried, (family, address) in enumerate(addresses):
        share_s = max(deadline.left_s, 0) / (len(addresses) - tried)
        sock, number = _connect(family, address, deadline, min(share_s, deadline.silence_s))
        if sock is not None:
            return sock
    raise number_error(number)


def _connect(
    family: int, address: tuple[Any, ...], deadline: Deadline, within_s: float
) -> tuple[socket.socket | None, int]:
    """Return a connected socket, or None and the errno of the failure."""
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError as error:
        return None, error.errno or errno.EIO
    number = errno.EIO
    try:
        number = _connect_socket(sock, address, deadline, within_s)
    except OSError as error:
        number = error.errno or errno.EIO
    finally:
        if number:
            sock.close()
    return (None if number else sock), number


def _connect_socket(
    sock: socket.socket, address: tuple[Any, ...], deadline: Deadline, within_s: float
) -> int:
    sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    number = sock.connect_ex(address)
    if number != errno.EINPROGRESS:
        return number
    if not deadline.wait(sock, select.POLLOUT, deadline.limit_s(within_s)):
        return errno.ETIMEDOUT
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _addresses(host: str, port: int, deadline: Deadline) -> list[HostAddress]:
    """Resolve the host name on its own thread, because the system's resolver can't be interrupted."""
    found = look_up(host, port, numeric=True)
    if found:
        return found
    done = threading.Event()

    def look() -> None:
        found.extend(look_up(host, port))
        done.set()

    threading.Thread(target=look, name="rtsp-name-lookup", daemon=True).start()
    if not deadline.join(done) or not found:
        raise unresolved_error()
    return found
