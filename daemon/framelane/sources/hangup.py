"""Ends the connection that another thread waits on within FFmpeg, which has no call for it.

FFmpeg gives up a connection that is silent. One on which something comes, but never a picture, such as the sender
reports of a camera whose encoder has died, it reads for ever. PyAV could interrupt that in a callback, which takes the
interpreter lock several times a packet; closing the container from another thread crashes the process. But the kernel
knows on which sockets a thread waits (proc(5), /proc/[pid]/task/[tid]/syscall), and a socket that is shut down gives
its reader the end of the stream, as if the camera had gone.
"""

from __future__ import annotations

import os
import platform
import socket
import stat
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

_POLLS = {"x86_64": frozenset({7, 271}), "aarch64": frozenset({73})}
"""Numbers of poll and ppoll by machine (asm/unistd.h): both begin with an array of pollfd, and its length."""
_POLLFD = struct.Struct("@ihh")
_LAST_DATA = struct.Struct("@52xI")
_MOST_FDS = 64
_LOOKS, _LOOK_S = 20, 0.002  # who reads rubbish as it comes waits now and then


def hang_up(thread_id: int, silent_s: float = 0.0) -> bool:
    """Shut down the TCP connection that a thread of this process waits on; False where it waits on none.

    Args:
        thread_id: as `threading.get_native_id` gives it.
        silent_s: leave one on which something has come in the last so many seconds; False then, too.
    """
    polls = _POLLS.get(platform.machine(), frozenset())
    for _ in range(_LOOKS if polls else 0):
        answers = [_shut_down(descriptor, silent_s) for descriptor in _awaited(thread_id, polls)]
        if any(answers):
            return True
        if False in answers:
            return False
        time.sleep(_LOOK_S)
    return False


def _shut_down(descriptor: int, silent_s: float) -> bool | None:
    """Whether a connection has been silent, and is shut down now; None where it is none."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            if connection.type != socket.SOCK_STREAM:
                return None
            if silent_s and _silence_s(connection) < silent_s:
                return False
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended by itself meanwhile
        return None
    return True


def _silence_s(connection: socket.socket) -> float:
    """Seconds since the last data came in (tcp(7), tcp_info in linux/tcp.h: tcpi_last_data_recv, milliseconds)."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
    milliseconds: int = _LAST_DATA.unpack(info)[0]
    return milliseconds / 1e3


def _awaited(thread_id: int, polls: Container[int]) -> list[int]:
    """The descriptors that the thread polls; none where it does something else, or the kernel doesn't tell."""
    try:
        words = Path(f"/proc/self/task/{thread_id}/syscall").read_text(encoding="ascii").split()
        if len(words) < 3 or int(words[0]) not in polls:  # noqa: PLR2004 - number, array, length
            return []
        count = min(int(words[2], 16), _MOST_FDS)
        with Path("/proc/self/mem").open(
            "rb", buffering=0
        ) as memory:  # a thread that has ended takes its stack along
            memory.seek(int(words[1], 16))
            table = memory.read(count * _POLLFD.size)
    except (OSError, ValueError):
        return []
    return [descriptor for descriptor, _, _ in _POLLFD.iter_unpack(table[: count * _POLLFD.size])]
