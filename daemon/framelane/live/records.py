"""The bytes that viewers get: records. A WebSocket message holds one or more of them.

A record is a header and a payload. The header, low bytes first: payload length (32 bits), kind (8), flags
(8), channel (16), media time and capture time in seconds (64-bit floats).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

_HEADER = struct.Struct("<IBBHdd")
HEADER_BYTES = _HEADER.size
_KEY = 1


class Kind(IntEnum):
    """The kinds of records.

    A video record is a movie fragment of one picture. A key frame has before it one byte with the length of
    the codec string, that string, and an initialization segment. Boxes are JSON. A still is the length
    (32 bits) of its boxes, the boxes as JSON, and a JPEG image. The state of a sub-stream is JSON.
    """

    VIDEO = 1
    BOXES = 2
    STILL = 3
    PREVIEW = 4


@dataclass(frozen=True, slots=True)
class Record:
    """One record of one stream, the same for all its viewers.

    Attributes:
        kind: what it holds.
        media_s: media time in seconds; a still has its frame's `pts`.
        captured_at: Unix time at which the picture was captured; 0 if unknown.
        payload: see Kind.
        key: whether it is a key frame.
    """

    kind: Kind
    media_s: float
    captured_at: float
    payload: bytes
    key: bool = False

    def header(self, channel: int) -> bytes:
        """Return the header for one viewer's channel."""
        return _HEADER.pack(
            len(self.payload), self.kind, _KEY if self.key else 0, channel, self.media_s, self.captured_at
        )


def unpack(header: bytes, payload: bytes) -> tuple[int, Record]:
    """Return channel and record.

    Raises:
        ValueError: there is no such kind.
    """
    _, kind, flags, channel, media_s, captured_at = _HEADER.unpack(header)
    return channel, Record(Kind(kind), media_s, captured_at, payload, bool(flags & _KEY))


def payload_bytes(header: bytes) -> int:
    """Return the length of the payload that follows a header."""
    length: int = _HEADER.unpack(header)[0]
    return length
