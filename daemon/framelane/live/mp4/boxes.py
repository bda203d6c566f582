"""Builds ISO base media boxes (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct

_SIZE = struct.Struct(">I")
_FULL = struct.Struct(">I4sI")


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box of this four-letter kind around the parts."""
    body = b"".join(parts)
    return _SIZE.pack(8 + len(body)) + kind + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Return a box with a version and 24 flags."""
    body = b"".join(parts)
    return _FULL.pack(12 + len(body), kind, version << 24 | flags) + body


def u8(*values: int) -> bytes:
    """Return bytes."""
    return bytes(values)


def u16(*values: int) -> bytes:
    """Return 16-bit numbers, high byte first."""
    return struct.pack(f">{len(values)}H", *values)


def u32(*values: int) -> bytes:
    """Return 32-bit numbers, high byte first."""
    return struct.pack(f">{len(values)}I", *values)
