"""Resolves host names."""

from __future__ import annotations

import socket
import threading
from typing import Any

HostAddress = tuple[int, tuple[Any, ...]]
"""An address family and the address that `connect` takes."""


def look_up(host: str, port: int, *, numeric: bool = False) -> list[HostAddress]:
    """Return a host's addresses; empty if the name is unknown.

    With `numeric`, only literal addresses count.
    """
    flags = socket.AI_NUMERICHOST if numeric else 0
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        return []
    return [(family, address) for family, _, _, _, address in answers]


def resolves(host: str, within_s: float) -> bool:
    """Return whether a name resolves within this time; the name server may be down."""
    found: list[HostAddress] = []
    finder = threading.Thread(target=lambda: found.extend(look_up(host, 0)), name="name-lookup", daemon=True)
    finder.start()
    finder.join(within_s)
    return bool(found)
