"""Ends the connection that another thread waits on within FFmpeg, which has no call for that.

FFmpeg gives up a silent connection. But if data comes without any picture, it reads forever; for example, a
camera whose encoder has died still sends sender reports. PyAV could interrupt this in a callback, but the
callback takes the interpreter lock several times per packet. Closing the container from another thread
crashes the process. Shutting the socket down works: the reader sees the end of the stream, as if the camera
had closed it.
"""

from __future__ import annotations

import platform
import socket
import struct
import time

from framelane.sources.ffmpeg.connection import POLLS, awaited_descriptors, duplicate

_LAST_DATA = struct.Struct("@52xI")
# A thread that reads bad data as it comes also waits now and then.
_LOOKS, _LOOK_S = 20, 0.002


def hang_up(thread_id: int, silent_s: float = 0.0) -> bool:
    """Shut down the TCP connection that a thread of this process waits on; return False if it waits on none.

    Args:
        thread_id: from `threading.get_native_id`.
        silent_s: leave a connection alone that has received data within this many seconds, and return False.
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
    """Return whether a connection was silent and is now shut down; None if it is not a connection."""
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
        except OSError:
            # The connection ended in the meantime.
            return None
    return True


def _silence_s(connection: socket.socket) -> float:
    """Return seconds since the last received data (tcpi_last_data_recv in linux/tcp.h, milliseconds)."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
    milliseconds: int = _LAST_DATA.unpack(info)[0]
    return milliseconds / 1e3
