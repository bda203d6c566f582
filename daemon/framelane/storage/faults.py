"""Explains why a file can't be used, with the remedy."""

from __future__ import annotations


def explained(error: Exception, section: str) -> str:
    """Return an error of SQLite or the system in words, with the remedy.

    Args:
        error: the error.
        section: the configuration section that has `folder` and `max_bytes`, such as "mqtt.spool".
    """
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text + next((remedy.format(section) for words, remedy in _REMEDIES if words in text), "")


_ROOM = ": make room, or lower {0}.max_bytes"
_PERMIT = ": let this user write there, or set {0}.folder"
_REMEDIES = (
    (
        "database is locked",
        ": another process uses it; do two daemons have one node.id? Give each its own, or its own {0}.folder",
    ),
    ("full", _ROOM),
    ("No space left", _ROOM),
    ("readonly", _PERMIT),
    ("unable to open", _PERMIT),
    ("denied", _PERMIT),
    ("Read-only", ": set {0}.folder to where this user may write"),
)
