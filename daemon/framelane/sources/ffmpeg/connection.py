"""Asks the kernel about the connection that a thread reads within FFmpeg, which has no call for that.

The kernel knows on which sockets a thread waits (proc(5), /proc/[pid]/task/[tid]/syscall), and how much
received data of a socket is still unread.
"""

from __future__ import annotations

import fcntl
import os
import platform
import socket
import stat
import struct
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

POLLS = {"x86_64": frozenset({7, 271}), "aarch64": frozenset({73})}
"""Numbers of poll and ppoll by machine (asm/unistd.h). Both take an array of pollfd and its length first."""
_POLLFD = struct.Struct("@ihh")
_MOST_FDS = 64
_INT = struct.Struct("@i")
_NOTHING = bytes(_INT.size)
_EVEN = 0.5


@dataclass(frozen=True, slots=True)
class Connection:
    """The sockets on which pictures come.

    Attributes:
        descriptors: their file descriptors; valid while FFmpeg has them open.
        datagrams: whether they are UDP sockets.
    """

    descriptors: tuple[int, ...]
    datagrams: bool

    def unread(self) -> int:
        """Return the number of unread bytes; with UDP, those of the next datagram."""
        total = 0
        for descriptor in self.descriptors:
            try:
                (count,) = _INT.unpack(fcntl.ioctl(descriptor, termios.FIONREAD, _NOTHING))
            except OSError:
                # The socket has been closed.
                continue
            total += count
        return total


class FfmpegConnection:
    """Checks whether a reader keeps up with its connection."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._last: tuple[float, float | None] | None = None

    def find(self, thread_id: int, *, datagrams: bool) -> None:
        """Find the sockets on which the reader waits. Called on another thread, and free once they are found.

        Args:
            thread_id: of the reader, from `threading.get_native_id`.
            datagrams: whether pictures come by UDP.
        """
        if self._connection is None:
            found = awaited_connection(thread_id)
            # During name resolution, the reader waits for a name server.
            if found is not None and found.datagrams == datagrams:
                self._connection = found

    def drained(self, size: int, pts_s: float | None, now_s: float) -> bool:
        """Return whether less than a picture waited after the last one had been read completely.

        While the connection is unknown, a picture that comes one interval after the previous one counts as
        not delayed.

        Args:
            size: bytes of the picture.
            pts_s: its time stamp in seconds.
            now_s: monotonic time.
        """
        last, self._last = self._last, (now_s, pts_s)
        if self._connection is not None:
            return self._connection.unread() <= (0 if self._connection.datagrams else size)
        if last is None or last[1] is None or pts_s is None:
            return True
        return now_s - last[0] >= _EVEN * abs(pts_s - last[1])


def awaited_connection(thread_id: int) -> Connection | None:
    """Return the connection on which a thread of this process waits; None if it waits on none.

    Args:
        thread_id: from `threading.get_native_id`.
    """
    streams: list[int] = []
    datagrams: list[int] = []
    for descriptor in awaited_descriptors(thread_id):
        handle = duplicate(descriptor)
        if handle is not None:
            with handle:
                (datagrams if handle.type == socket.SOCK_DGRAM else streams).append(descriptor)
    if not datagrams and not streams:
        return None
    # With UDP, the camera's TCP connection stays open for commands.
    return Connection(tuple(datagrams or streams), datagrams=bool(datagrams))


def awaited_descriptors(thread_id: int) -> list[int]:
    """Return the descriptors that a thread polls; empty if it does not poll or the kernel does not tell."""
    polls: Container[int] = POLLS.get(platform.machine(), frozenset())
    try:
        words = Path(f"/proc/self/task/{thread_id}/syscall").read_text(encoding="ascii").split()
        if len(words) < 3 or int(words[0]) not in polls:  # noqa: PLR2004 - number, array, length
            return []
        count = min(int(words[2], 16), _MOST_FDS)
        # A thread that has ended takes its stack along.
        with Path("/proc/self/mem").open("rb", buffering=0) as memory:
            memory.seek(int(words[1], 16))
            table = memory.read(count * _POLLFD.size)
    except (OSError, ValueError):
        return []
    return [descriptor for descriptor, _, _ in _POLLFD.iter_unpack(table[: count * _POLLFD.size])]


def duplicate(descriptor: int) -> socket.socket | None:
    """Return another handle of a socket, which the caller closes; None if the descriptor is not a socket."""
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return socket.socket(fileno=os.dup(descriptor))
    except OSError:
        # The connection ended in the meantime.
        pass
    return None
