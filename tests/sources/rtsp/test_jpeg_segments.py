"""Segments of JPEG headers, and the tables of RFC 2435."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from framelane.sources.rtsp import jpeg_segments as jpeg
from framelane.sources.rtsp.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE, WIDE = bytes(range(1, 65)), bytes(range(1, 129))


@pytest.mark.parametrize("quality", [1, 2, 25, 49, 50, 51, 75, 98, 99])
def test_scaled_tables_are_those_of_libjpeg(quality: int) -> None:
    """Its rule for the quality is that of RFC 2435."""
    picture = np.zeros((16, 16, 3), np.uint8)
    file = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    header = file[2 : file.index(b"\xff\xda")]
    bodies = [body for marker, body in jpeg.read_segments(header) if marker == jpeg.DQT]
    expected = {number: table for body in bodies for number, table in jpeg.quantization_tables(body)}
    assert expected == jpeg.scaled_tables(quality)


def test_huffman_tables_hold_as_many_values_as_they_count() -> None:
    assert list(jpeg.HUFFMAN_TABLES) == [0x00, 0x01, 0x10, 0x11]
    for table in jpeg.HUFFMAN_TABLES.values():
        values = table[16:]
        assert sum(table[:16]) == len(values) == len(set(values))


def test_segment_counts_its_own_length() -> None:
    assert jpeg.segment(jpeg.DRI, b"ab") == b"\xff\xdd\x00\x04ab"
    assert jpeg.restart_interval(258) == b"\xff\xdd\x00\x04\x01\x02"


def test_quantization_writes_tables_in_order_and_marks_wide_ones() -> None:
    written = jpeg.quantization({3: WIDE, 0: TABLE})
    assert b"\xff\xdb" + (2 + 65 + 129).to_bytes(2, "big") + b"\x00" + TABLE + b"\x13" + WIDE == written
    assert list(jpeg.quantization_tables(written[4:])) == [(0, TABLE), (3, WIDE)]


def test_huffman_tables_come_back_when_they_were_written() -> None:
    written = jpeg.huffman(jpeg.HUFFMAN_TABLES)
    assert dict(jpeg.huffman_tables(written[4:])) == jpeg.HUFFMAN_TABLES


@pytest.mark.parametrize(
    ("tables", "halves_rows", "expected"),
    [
        ({0: TABLE}, False, "c0 0011 08 0438 0780 03 012100 021100 031100"),
        ({0: TABLE, 1: TABLE}, True, "c0 0011 08 0438 0780 03 012200 021101 031101"),
        ({0: TABLE, 1: WIDE}, True, "c1 0011 08 0438 0780 03 012200 021101 031101"),
    ],
)
def test_frame_header_puts_height_first_and_chooses_tables(
    tables: dict[int, bytes], expected: str, *, halves_rows: bool
) -> None:
    header = jpeg.frame_header((1920, 1080), tables, halves_rows=halves_rows)
    assert b"\xff" + bytes.fromhex(expected) == header


def test_read_segments_passes_fill_bytes_and_empty_bodies() -> None:
    data = (
        b"\xff\xff\xff" + jpeg.segment(jpeg.DRI, b"ab")[1:] + b"\xff" + jpeg.segment(0xFE, b"") + b"\xff\xff"
    )
    assert list(jpeg.read_segments(data)) == [(jpeg.DRI, b"ab"), (0xFE, b"")]
    assert list(jpeg.read_segments(b"")) == []


CUT = "a segment of a JPEG header is cut off"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x00\xff", "a JPEG header has data outside its segments"),
        (jpeg.JFIF + b"\x00", "a JPEG header has data outside its segments"),
        (b"\xff\xdd\x00\x04a", CUT),
        (b"\xff\xdd\x00\x01ab", CUT),
        (b"\xff\xdd\x00", CUT),
        (b"\xff\xdd", CUT),
    ],
)
def test_read_segments_raises_when_a_segment_is_cut_off(data: bytes, message: str) -> None:
    with pytest.raises(MalformedError) as caught:
        list(jpeg.read_segments(data))
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("read", "body", "message"),
    [
        (jpeg.quantization_tables, b"\x00" + TABLE[:-1], "a quantization table is cut off"),
        (jpeg.quantization_tables, b"\x10" + TABLE, "a quantization table is cut off"),
        (jpeg.quantization_tables, b"\x00" + TABLE + b"\x01", "a quantization table is cut off"),
        (jpeg.huffman_tables, b"\x00" + bytes(15), "a Huffman table is cut off"),
        (jpeg.huffman_tables, b"\x00" + bytes(15) + b"\x02" + b"\x00", "a Huffman table is cut off"),
    ],
)
def test_tables_raise_when_they_are_cut_off(read: Callable[[bytes], Any], body: bytes, message: str) -> None:
    with pytest.raises(MalformedError) as caught:
        list(read(body))
    assert message == str(caught.value)
