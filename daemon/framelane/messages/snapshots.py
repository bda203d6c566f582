"""Encodes snapshots, which are JPEG images, as messages."""

from __future__ import annotations

from framelane.messages.detections import Message
from framelane.messages.topics import key_of


def snapshot_message(stream: str, label: str, image: bytes, *, retain: bool) -> Message:
    """Return a stream's newest snapshot of a label; an empty image deletes the retained one."""
    return Message("snapshots", stream, image, retain=retain, key=key_of(label))
