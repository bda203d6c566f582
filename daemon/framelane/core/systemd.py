"""Speaks to the service manager that started this process (sd_notify(3)); says nothing where there is none."""

from __future__ import annotations

import contextlib
import os
import socket

_PATIENCE_S = 1.0


def notify(news: str) -> None:
    """Send lines such as `READY=1`; what the manager does not take is lost, and nobody waits for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_PATIENCE_S)
        sock.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        sock.sendall(news.encode())


def extend_start(seconds: float) -> None:
    """Ask for so many seconds more from now, in a start that takes longer than the unit's TimeoutStartSec=."""
    notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")
