"""Reads the orientation from the EXIF data of an image file."""

from __future__ import annotations

import struct
from contextlib import suppress

UPRIGHT = 1
"""The orientation of an image that is shown as it is stored."""

# EXIF 2.32, tag 274.
_ORIENTATION = 0x0112
_SHORT = 3
_MOST_ENTRIES = 200
_HEADER = b"Exif\0\0"
_JPEG, _PNG, _RIFF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF"
_APP1, _START_OF_SCAN = 0xE1, 0xDA
# Markers without a length.
_ALONE = (0x01, *range(0xD0, 0xD9))
_MOST_SEGMENTS = 100


def exif_orientation(data: bytes) -> int:
    """Return the orientation of a JPEG, PNG or WebP file, 1 to 8; 1 if it is missing or invalid."""
    with suppress(struct.error, IndexError):
        if data.startswith(_JPEG):
            return _orientation(_exif_of_jpeg(data))
        if data.startswith(_PNG):
            return _orientation(_chunk(data, len(_PNG), ">I4s", b"eXIf", "length first"))
        if data.startswith(_RIFF):
            return _orientation(_chunk(data, 12, "<4sI", b"EXIF", "name first"))
    return UPRIGHT


def _exif_of_jpeg(data: bytes) -> bytes:
    """Return the content of the first APP1 segment with EXIF, which comes before the first scan."""
    at = len(_JPEG)
    for _ in range(_MOST_SEGMENTS):
        if data[at] != 0xFF:  # noqa: PLR2004 - the first byte of every marker
            return b""
        marker = data[at + 1]
        if marker == 0xFF:  # noqa: PLR2004 - fill bytes may come before a marker
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        if marker == _START_OF_SCAN:
            return b""
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker == _APP1 and data.startswith(_HEADER, at + 4):
            return data[at + 4 : at + 2 + length]
        at += 2 + length
    return b""


def _chunk(data: bytes, at: int, head: str, wanted: bytes, order: str) -> bytes:
    """Return the content of the first chunk of this name; PNG puts a chunk's length first, RIFF its name."""
    size = struct.calcsize(head)
    png = order == "length first"
    for _ in range(_MOST_SEGMENTS):
        values = struct.unpack_from(head, data, at)
        length, name = values if png else values[::-1]
        if name == wanted:
            return data[at + size : at + size + length]
        # PNG ends a chunk with a checksum of four bytes; RIFF pads it to an even length.
        at += size + length + (4 if png else length % 2)
    return b""


def _orientation(exif: bytes) -> int:
    """Return the orientation in the first directory of a TIFF structure (TIFF 6.0, section 2)."""
    tiff = exif.removeprefix(_HEADER)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return UPRIGHT
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    for index in range(min(count, _MOST_ENTRIES)):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * index)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and value in range(1, 9) else UPRIGHT
    return UPRIGHT
