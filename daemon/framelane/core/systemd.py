"""The systemd interface: sd_notify(3), and priorities for the journal. Does nothing without systemd."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from typing import TextIO

_SEND_TIMEOUT_S = 1.0
# sd-daemon(3): syslog's levels, as a line's prefix.
_PRIORITIES = (
    (logging.CRITICAL, "<2>"),
    (logging.ERROR, "<3>"),
    (logging.WARNING, "<4>"),
    (logging.INFO, "<6>"),
    (logging.NOTSET, "<7>"),
)


def notify(state: str) -> None:
    """Send lines such as `READY=1`; failures are ignored."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_SEND_TIMEOUT_S)
        sock.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        sock.sendall(state.encode())


def extend_start(seconds: float) -> None:
    """Extend a start beyond the unit's TimeoutStartSec=, by this many seconds from now."""
    notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")


def is_journal(stream: TextIO) -> bool:
    """Return whether a stream is connected directly to the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    journal = os.environ.get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        # Not a file, or a closed one.
        return False
    return journal == f"{found.st_dev}:{found.st_ino}"


def with_priority(text: str, level: int) -> str:
    """Prefix each line with its severity, which the journal strips and stores as the priority."""
    prefix = next(prefix for least, prefix in _PRIORITIES if level >= least)
    return "\n".join(prefix + line for line in text.split("\n"))
