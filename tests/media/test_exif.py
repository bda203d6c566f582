"""The containers of EXIF data; test_orientation compares what follows from it with OpenCV."""

from __future__ import annotations

import struct

import pytest

from framelane.media.exif import exif_orientation


def tiff(orientation: int, order: str = ">", entries: int = 0, directory: int = 8) -> bytes:
    """A directory of that many other tags and the orientation."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, directory)
    others = b"".join(struct.pack(f"{order}HHII", 0x8000 + each, 4, 1, 0) for each in range(entries))
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return head.ljust(directory, b"\0") + struct.pack(f"{order}H", entries + 1) + others + entry


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def app1(exif: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + exif)


SOI, SCAN = b"\xff\xd8", segment(0xDA, b"\0" * 10)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read_in_either_byte_order(orientation: int, order: str) -> None:
    assert orientation == exif_orientation(SOI + app1(tiff(orientation, order)) + SCAN)


@pytest.mark.parametrize(("entries", "directory", "expected"), [(0, 300, 6), (199, 8, 6), (200, 8, 1)])
def test_orientation_is_found_among_two_hundred_tags(entries: int, directory: int, expected: int) -> None:
    assert expected == exif_orientation(SOI + app1(tiff(6, "<", entries, directory)))


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(segment(0xE0, b"JFIF\0"), 6, id="after JFIF"),
        pytest.param(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0"), 6, id="after XMP"),
        pytest.param(b"\xff\xff\xff", 6, id="after fill bytes"),
        pytest.param(b"\xff\x01\xff\xd0", 6, id="after markers without a length"),
        pytest.param(segment(0xE2, b"") * 99, 6, id="as the hundredth segment"),
        pytest.param(segment(0xE2, b"") * 100, 1, id="as a later one"),
        pytest.param(SCAN, 1, id="after the scan has begun"),
        pytest.param(b"\0", 1, id="after what is no marker"),
        pytest.param(app1(tiff(3)), 3, id="as the second"),
    ],
)
def test_exif_of_a_jpeg_is_the_first_before_the_scan(before: bytes, expected: int) -> None:
    assert expected == exif_orientation(SOI + before + app1(tiff(6)) + SCAN)


@pytest.mark.parametrize("header", [b"", b"Exif\0\0"])
def test_exif_of_a_webp_may_have_jpegs_header(header: bytes) -> None:
    """Some programs write it there too."""
    exif = header + tiff(8)
    chunks = b"VP8X" + struct.pack("<I", 3) + b"abc\0" + b"EXIF" + struct.pack("<I", len(exif)) + exif
    assert exif_orientation(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks) == 8


def test_exif_of_a_png_is_found_behind_other_chunks() -> None:
    chunks = b"".join(
        struct.pack(">I", len(body)) + name + body + b"\0crc"
        for name, body in [
            (b"IHDR", b"\0" * 13),
            (b"tEXt", b""),
            (b"eXIf", tiff(5)),
        ]
    )
    assert exif_orientation(b"\x89PNG\r\n\x1a\n" + chunks) == 5


@pytest.mark.parametrize("length", range(0, 60, 3))
def test_a_file_cut_anywhere_is_upright(length: int) -> None:
    whole = SOI + app1(tiff(6))
    cut = min(length, len(whole) - 3)
    assert exif_orientation(whole[:cut]) == 1


@pytest.mark.parametrize("data", [b"", b"BM", b"GIF89a", b"RIFF1234WAVE", b"\xff\xd8" + b"\xff" * 500])
def test_other_files_are_upright(data: bytes) -> None:
    assert exif_orientation(data) == 1
