"""Segments of a JPEG file's header; RTP omits most of them (ITU-T T.81, annexes B and K)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from framelane.sources.rtsp.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SOF0, SOF1, DHT, SOS, DQT, DRI, APP0 = 0xC0, 0xC1, 0xC4, 0xDA, 0xDB, 0xDD, 0xE0
"""Second bytes of markers; the first is 0xFF (T.81 table B.1)."""
TABLE_BYTES = 64
"""Size of a quantization table with 8-bit elements; one with 16-bit elements takes twice as many bytes."""
_FILL = 0xFF
_LENGTH_BYTES = 2
_CODE_LENGTHS = 16

# Quantization tables for a quality of 50 (T.81 tables K.1 and K.2), row by row.
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *(99 for _ in range(32)),
)
_AC_LUMINANCE = (
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25"
    "262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83"
    "8485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3"
    "d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
_AC_CHROMINANCE = (
    "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718"
    "191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a"
    "82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9ca"
    "d2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)
_DC_VALUES = "000102030405060708090a0b"
HUFFMAN_TABLES: Mapping[int, bytes] = {
    identifier: bytes.fromhex(counts + values)
    for identifier, counts, values in (
        (0x00, "00010501010101010100000000000000", _DC_VALUES),
        (0x01, "00030101010101010101010000000000", _DC_VALUES),
        (0x10, "0002010303020403050504040000017d", _AC_LUMINANCE),
        (0x11, "00020102040403040705040400010277", _AC_CHROMINANCE),
    )
}
"""T.81 tables K.3 to K.6 by class and number: the count of codes per length, then their values."""


def _zigzag() -> list[int]:
    """Return which element of an 8 by 8 block is at each place of a table (T.81 figure A.6)."""
    cells = [(row, column) for row in range(8) for column in range(8)]
    cells.sort(key=lambda cell: (sum(cell), cell[0] if sum(cell) % 2 else cell[1]))
    return [8 * row + column for row, column in cells]


_ZIGZAG = _zigzag()
_HALF_QUALITY = 50


@lru_cache(maxsize=128)
def scaled_tables(quality: int) -> dict[int, bytes]:
    """Return the quantization tables for RTP's Q from 1 to 99 (RFC 2435 section 4.2)."""
    scale = 5000 // quality if quality < _HALF_QUALITY else 200 - 2 * quality
    return {
        number: bytes(min(max((table[place] * scale + 50) // 100, 1), 255) for place in _ZIGZAG)
        for number, table in enumerate((_LUMINANCE, _CHROMINANCE))
    }


def segment(marker: int, body: bytes) -> bytes:
    """Return a marker with its length and body."""
    return bytes((_FILL, marker)) + (len(body) + _LENGTH_BYTES).to_bytes(2, "big") + body


def quantization(tables: Mapping[int, bytes]) -> bytes:
    """Return the segment of quantization tables, by number."""
    parts = (
        bytes(((len(table) > TABLE_BYTES) << 4 | number,)) + table for number, table in sorted(tables.items())
    )
    return segment(DQT, b"".join(parts))


def huffman(tables: Mapping[int, bytes]) -> bytes:
    """Return the segment of Huffman tables, by class and number."""
    return segment(DHT, b"".join(bytes((key,)) + table for key, table in sorted(tables.items())))


def frame_header(size_wh: tuple[int, int], tables: Mapping[int, bytes], *, halves_rows: bool) -> bytes:
    """Return the frame header of a YCbCr picture.

    Chroma has half the columns, with `halves_rows` half the rows too.
    """
    width, height = size_wh
    color_table = 1 if 1 in tables else 0
    wide = any(len(table) > TABLE_BYTES for table in tables.values())
    components = (
        *(1, 0x22 if halves_rows else 0x21, 0),
        *(2, 0x11, color_table),
        *(3, 0x11, color_table),
    )
    body = b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x03" + bytes(components)
    return segment(SOF1 if wide else SOF0, body)


JFIF = segment(APP0, b"JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00")
SCAN = segment(SOS, b"\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00")
"""One scan of all three components."""


def restart_interval(blocks: int) -> bytes:
    """Return the segment that sets the number of blocks between restart markers."""
    return segment(DRI, blocks.to_bytes(2, "big"))


def read_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield markers and bodies of segments, which may have fill bytes between them.

    Raises:
        MalformedError: a segment is cut off, or the data is not a segment.
    """
    at = 0
    while at < len(data):
        if data[at] != _FILL:
            raise MalformedError("a JPEG header has data outside its segments")
        marker = data[at + 1] if at + 1 < len(data) else _FILL
        if marker == _FILL:
            at += 1
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + size
        if size < _LENGTH_BYTES or end > len(data):
            raise MalformedError("a segment of a JPEG header is cut off")
        yield marker, data[at + 4 : end]
        at = end


def quantization_tables(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield numbers and tables of a quantization segment's body.

    Raises:
        MalformedError: a table is cut off.
    """
    at = 0
    while at < len(body):
        size = TABLE_BYTES << (body[at] >> 4 & 1)
        if at + 1 + size > len(body):
            raise MalformedError("a quantization table is cut off")
        yield body[at] & 0x0F, body[at + 1 : at + 1 + size]
        at += 1 + size


def huffman_tables(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield keys (class and number) and tables of a Huffman segment's body.

    Raises:
        MalformedError: a table is cut off.
    """
    at = 0
    while at < len(body):
        counts = at + 1 + _CODE_LENGTHS
        end = counts + sum(body[at + 1 : counts])
        if end > len(body) or counts > len(body):
            raise MalformedError("a Huffman table is cut off")
        yield body[at], body[at + 1 : end]
        at = end
