"""Ends the connection that another thread waits on within FFmpeg, which has no call for it.

FFmpeg gives up a connection that is silent. One on which something comes, but never a picture, such as the sender
reports of a camera whose encoder has died, it reads for ever. PyAV could interrupt that in a callback, which takes the
interpreter lock several times a packet; closing the container from another thread crashes the process. But a socket
that is shut down gives its reader the end of the stream, as if the camera had gone.
"""

from __future__ import annotations

import platform
import socket
import time

from framelane.sources.connection import POLLS, awaited_descriptors, duplicate

_LOOKS, _LOOK_S = 20, 0.002  # who reads rubbish as it comes waits now and then


def hang_up(thread_id: int) -> bool:
    """Shut down the TCP connection that a thread of this process waits on; False where it waits on none.

    Args:
        thread_id: as `threading.get_native_id` gives it.
    """
    for _ in range(_LOOKS if platform.machine() in POLLS else 0):
        if any(map(_shut_down, awaited_descriptors(thread_id))):
            return True
        time.sleep(_LOOK_S)
    return False


def _shut_down(descriptor: int) -> bool:
    """Whether it is a connection, which is shut down now."""
    handle = duplicate(descriptor)
    if handle is None:
        return False
    with handle:
        if handle.type != socket.SOCK_STREAM:
            return False
        try:
            handle.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended by itself meanwhile
            return False
    return True
