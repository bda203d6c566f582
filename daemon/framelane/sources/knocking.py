"""Finds out whether a host listens again, which costs a packet a second and disturbs no camera."""

from __future__ import annotations

import errno
import select
import socket
import threading
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    Pause = Callable[[float], bool]
    """Waits for the given seconds; returns True, perhaps sooner, if all waiting is to end."""

KNOCK_S = 1.0
_QUICK_S = 0.05  # in which a host that is there has answered
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


class Address(NamedTuple):
    """What `connect` takes."""

    family: int
    address: Any


class Door:
    """Host and port of a URL.

    Args:
        url: an RTSP or HTTP URL.
        shut: whether it is known that nobody listens.
    """

    def __init__(self, url: str, *, shut: bool) -> None:
        self._shut = shut
        self._found: list[Address] = []
        self._turn = count()
        finder = threading.Thread(target=self._find, args=(url,), name="resolve", daemon=True)
        finder.start()  # for a name server may take its time, or be what is down
        finder.join(_QUICK_S)

    def opens(self, pause: Pause) -> tuple[bool, bool]:
        """Knock, for `KNOCK_S`; whether somebody listens who did not before, and whether waiting is over."""
        addresses = self._found
        if not addresses:
            return False, pause(KNOCK_S)
        answers, left_s, over = _answers(addresses[next(self._turn) % len(addresses)], pause)
        opened = answers and self._shut
        self._shut |= not answers and not over
        if not opened and not over and left_s:
            over = pause(left_s)
        return opened, over

    def _find(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme.lower()]
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError, KeyError):  # UnicodeError of an odd name is a ValueError
            return
        self._found = [Address(family, address) for family, _, _, _, address in found]


def _answers(door: Address, pause: Pause) -> tuple[bool, float, bool]:
    """Whether somebody listens, what is left of a knock's time, and whether waiting is over."""
    left_s, over = KNOCK_S, False
    try:
        with socket.socket(door.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as caller:
            error = caller.connect_ex(door.address)
            for wait_s in (_QUICK_S, KNOCK_S - _QUICK_S):
                if error == errno.EINPROGRESS and not over:
                    over = pause(wait_s)
                    left_s -= wait_s
                    error = _outcome(caller)
            return error == 0, left_s, over
    except OSError:  # such as too many open files
        return False, left_s, over


def _outcome(caller: socket.socket) -> int:
    """How connecting went, or that it still goes on."""
    poller = select.poll()
    poller.register(caller, select.POLLOUT)
    return caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if poller.poll(0) else errno.EINPROGRESS
