"""Messages as rows of a database, with checksums for damage that SQLite does not detect."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from framelane.messages.detections import Message, as_replayed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.messages.detections import Kind

ROW_BYTES = 48
"""Most bytes of a row besides its payload."""
MOST_ROW = 1 << 62
"""Row numbers beyond this are damage."""

StoredRow: TypeAlias = tuple[Any, ...]
"""A row's number, its time, and what `columns_of` returned; the latter may be damaged."""


class StoredMessage(NamedTuple):
    """A message that was read from disk.

    Attributes:
        message: the message; its `replayed` is true.
        at: Unix time that it was stored with.
        row: its row.
    """

    message: Message
    at: float
    row: int


class Found(NamedTuple):
    """What was read: messages in order, unreadable rows, and the last row read."""

    entries: list[StoredMessage]
    unreadable: list[int]
    last_row: int


def columns_of(message: Message) -> tuple[bytes, bytes, int]:
    """Return what a row stores of a message: stream, payload and checksum."""
    stream = (message.stream or "").encode()
    return stream, message.payload, checksum(stream, message.payload)


def found_in(rows: Sequence[StoredRow], kind: Kind, after_row: int) -> Found:
    """Decode rows that were read after a row."""
    entries, unreadable = [], []
    for row, at, stream, payload, crc in rows:
        message = _message(kind, stream, payload, crc)
        if message is None or not isinstance(at, float):
            unreadable.append(row)
        else:
            entries.append(StoredMessage(message, at, row))
    return Found(entries, unreadable, rows[-1][0] if rows else after_row)


def checksum(*parts: bytes) -> int:
    """Return the CRC-32 of the parts together."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def _message(kind: Kind, stream: object, payload: object, crc: object) -> Message | None:
    """Return the message to replay; None if the row was damaged."""
    if not isinstance(stream, bytes) or not isinstance(payload, bytes) or checksum(stream, payload) != crc:
        return None
    try:
        return as_replayed(Message(kind, stream.decode(), payload, retain=False))
    except ValueError:
        return None
