"""Checks whether a host accepts connections again, with one packet per second that disturbs no camera."""

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
    """Wait for the given seconds and return whether to stop waiting; may return sooner in that case."""

PROBE_S = 1.0
# A host that is up answers within this time.
_QUICK_S = 0.05
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


class Address(NamedTuple):
    """An address that `connect` takes."""

    family: int
    address: Any


class PortProbe:
    """Probes the host and port of a URL.

    Args:
        url: an RTSP or HTTP URL.
        shut: whether the port is known to be closed.
    """

    def __init__(self, url: str, *, shut: bool) -> None:
        self._shut = shut
        self._found: list[Address] = []
        self._turn = count()
        finder = threading.Thread(target=self._find, args=(url,), name="resolve", daemon=True)
        # The name server may be slow, or down.
        finder.start()
        finder.join(_QUICK_S)

    def opens(self, pause: Pause) -> tuple[bool, bool]:
        """Probe for `PROBE_S`. Return whether the port has just opened, and whether to stop waiting."""
        addresses = self._found
        if not addresses:
            return False, pause(PROBE_S)
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
        except (OSError, ValueError, KeyError):
            # UnicodeError for an odd name is a ValueError.
            return
        self._found = [Address(family, address) for family, _, _, _, address in found]


def _answers(address: Address, pause: Pause) -> tuple[bool, float, bool]:
    """Return whether the port is open, the seconds left of this probe, and whether to stop waiting."""
    left_s, over = PROBE_S, False
    try:
        with socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as caller:
            error = caller.connect_ex(address.address)
            for wait_s in (_QUICK_S, PROBE_S - _QUICK_S):
                if error == errno.EINPROGRESS and not over:
                    over = pause(wait_s)
                    left_s -= wait_s
                    error = _outcome(caller)
            return error == 0, left_s, over
    except OSError:
        # For example, too many open files.
        return False, left_s, over


def _outcome(caller: socket.socket) -> int:
    """Return the errno of the connection attempt: 0 on success, EINPROGRESS while it goes on."""
    poller = select.poll()
    poller.register(caller, select.POLLOUT)
    return caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if poller.poll(0) else errno.EINPROGRESS
