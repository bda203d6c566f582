"""Ends the connection that another thread waits on within FFmpeg, which has no call for it.

FFmpeg gives up a connection that is silent. One on which something comes, but never a picture, such as the sender
reports of a camera whose encoder has died, it reads forever. PyAV could interrupt that in a callback, which takes the
interpreter lock several times a packet; closing the container from another thread crashes the process. But a socket
that is shut down gives its reader the end of the stream, as if the camera had gone.
"""

from __future__ import annotations

import platform
import socket
import struct
import time

from framelane.sources.connection import POLLS, awaited_descriptors, duplicate

_LAST_DATA = struct.Struct("@52xI")
_LOOKS, _LOOK_S = 20, 0.002  # who reads rubbish as it comes waits now and then


def hang_up(thread_id: int, silent_s: float = 0.0) -> bool:
    """Shut down the TCP connection that a thread of this process waits on; False where it waits on none.

    Args:
        thread_id: as `threading.get_native_id` gives it.
        silent_s: leave a connection alone that has received data within this many seconds; False then, too.
    """
    for _ in range(_LOOKS if platform.machine() in POLLS else 0):
        answers = [_shut_down(descriptor, silent_s) for descriptor in awaited_descriptors(thread_id)]
        if any(answers):
            return True
        if False in answers:
            return False
        time.sleep(_LOOK_S)
    return False


def _shut_down(descriptor: int, silent_s: float) -> bool | None:
    """Whether a connection has been silent, and is shut down now; None where it is none."""
    handle = duplicate(descriptor)
    if handle is None:
        return None
    with handle:
        if handle.type != socket.SOCK_STREAM:
            return None
        try:
            if silent_s and _silence_s(handle) < silent_s:
                return False
            handle.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended by itself meanwhile
            return None
    return True


def _silence_s(connection: socket.socket) -> float:
    """Seconds since the last data came in (tcp(7), tcp_info in linux/tcp.h: tcpi_last_data_recv, milliseconds)."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
    milliseconds: int = _LAST_DATA.unpack(info)[0]
    return milliseconds / 1e3
