"""JPEG headers from the first packet of a picture (RFC 2435 section 3.1) and its RTP header extension."""

from __future__ import annotations

import pytest

from framelane.sources.rtsp import jpeg_segments as jpeg
from framelane.sources.rtsp.errors import MalformedError
from framelane.sources.rtsp.jpeg_headers import HEADER_BYTES, JpegHeaders, header_bytes

TABLE, OTHER, WIDE = bytes(range(1, 65)), bytes(range(65, 129)), bytes(range(1, 129))
SCAN = b"scan"


def payload(
    kind: int = 1,
    quality: int = 75,
    blocks_wh: tuple[int, int] = (20, 12),
    *,
    restart: bytes = b"",
    tables: bytes | None = None,
    precision: int = 0,
) -> bytes:
    """A first packet; `tables` adds their header (section 3.1.8)."""
    head = bytes((0, 0, 0, 0, kind, quality, *blocks_wh)) + restart
    if tables is not None:
        head += bytes((0, precision)) + len(tables).to_bytes(2, "big") + tables
    return head + SCAN


def extension(*segments: bytes, begins: bytes = b"\xff\xd8") -> bytes:
    """ONVIF's extension, padded to whole words."""
    body = b"".join(segments)
    body += b"\xff" * (-len(body) % 4)
    return begins + (len(body) // 4).to_bytes(2, "big") + body


def parts(headers: JpegHeaders) -> dict[int, bytes]:
    """The built header's segments by marker."""
    built = headers.build()
    assert built.startswith(jpeg.SOI)
    return dict(jpeg.read_segments(built[2:]))


def tables(headers: JpegHeaders) -> dict[int, bytes]:
    return dict(jpeg.quantization_tables(parts(headers)[jpeg.DQT]))


def size_wh(headers: JpegHeaders) -> tuple[int, int]:
    body = parts(headers)[jpeg.SOF0]
    return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")


@pytest.mark.parametrize(("kind", "expected"), [(0, 8), (1, 8), (0x40, 12), (0x41, 12)])
def test_header_bytes_count_the_restart_header_when_there_is_one(kind: int, expected: int) -> None:
    assert expected == header_bytes(payload(kind))


def test_build_orders_segments_as_decoders_expect_them() -> None:
    headers = JpegHeaders()
    first = payload(0x41, restart=b"\x00\x14\xff\xff")
    assert first[headers.read(first) :] == SCAN
    markers = [marker for marker, _ in jpeg.read_segments(headers.build()[2:])]
    assert markers == [jpeg.APP0, jpeg.DQT, jpeg.DRI, jpeg.SOF0, jpeg.DHT, jpeg.SOS]
    assert parts(headers)[jpeg.DRI] == b"\x00\x14"


def test_build_has_no_restart_interval_when_the_next_picture_has_none() -> None:
    headers = JpegHeaders()
    headers.read(payload(0x41, restart=b"\x00\x14\xff\xff"))
    headers.begin()
    headers.read(payload(1))
    assert jpeg.DRI not in parts(headers)


@pytest.mark.parametrize("quality", [1, 50, 99])
def test_read_scales_the_tables_when_q_is_below_100(quality: int) -> None:
    headers = JpegHeaders()
    assert headers.read(payload(quality=quality)) == HEADER_BYTES
    assert jpeg.scaled_tables(quality) == tables(headers)


def test_read_keeps_tables_by_q_when_later_pictures_leave_them_out() -> None:
    headers = JpegHeaders()
    first = payload(quality=128, tables=TABLE + OTHER)
    assert first[headers.read(first) :] == SCAN
    assert tables(headers) == {0: TABLE, 1: OTHER}
    headers.read(payload(quality=254, tables=OTHER))
    assert tables(headers) == {0: OTHER}
    headers.read(payload(quality=128, tables=b""))
    assert tables(headers) == {0: TABLE, 1: OTHER}


@pytest.mark.parametrize(
    ("precision", "expected"), [(0b00, {0: TABLE, 1: OTHER}), (0b01, {0: WIDE}), (0b10, {0: TABLE})]
)
def test_read_splits_tables_by_their_precision(precision: int, expected: dict[int, bytes]) -> None:
    headers = JpegHeaders()
    headers.read(payload(quality=255, tables=WIDE, precision=precision))
    found = dict(jpeg.quantization_tables(dict(jpeg.read_segments(headers.build()[2:]))[jpeg.DQT]))
    assert expected == found


def test_read_takes_four_tables_at_most() -> None:
    headers = JpegHeaders()
    headers.read(payload(quality=255, tables=TABLE * 5))
    assert list(tables(headers)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (payload(2), "unknown JPEG type 2"),
        (payload(0x80), "unknown JPEG type 128"),
        (payload(quality=0), "unknown JPEG quality 0"),
        (payload(quality=100), "unknown JPEG quality 100"),
        (payload(quality=127), "unknown JPEG quality 127"),
        (payload(quality=128, tables=b""), "no quantization tables have come for Q 128"),
        (payload(quality=255, tables=b""), "no quantization tables have come for Q 255"),
        (payload(quality=255, tables=TABLE[:-1]), "a quantization table is cut off"),
        (payload(quality=255, tables=TABLE)[:-5], "the quantization tables are cut off"),
        (payload(quality=255, tables=b"")[:11], "the header of the quantization tables is cut off"),
        (payload(0x40)[:11], "the restart marker header is cut off"),
    ],
)
def test_read_raises_when_the_headers_make_no_sense(first: bytes, message: str) -> None:
    with pytest.raises(MalformedError) as caught:
        JpegHeaders().read(first)
    assert message == str(caught.value)


def test_tables_of_q_255_are_not_kept_for_later_pictures() -> None:
    headers = JpegHeaders()
    headers.read(payload(quality=255, tables=TABLE))
    with pytest.raises(MalformedError, match="no quantization tables have come for Q 255"):
        headers.read(payload(quality=255, tables=b""))


@pytest.mark.parametrize(
    ("declared_wh", "blocks_wh", "expected"),
    [
        pytest.param(None, (20, 12), (160, 96), id="by blocks"),
        pytest.param((158, 95), (20, 12), (160, 96), id="a small declared size does not count"),
        pytest.param((2560, 1440), (0, 180), (2560, 1440), id="a side too large is 0"),
        pytest.param((2560, 1440), (2560 // 8 & 0xFF, 180), (2560, 1440), id="or its lowest bits"),
        pytest.param((2560, 1440), (65, 180), (520, 1440), id="other bits are another size"),
        pytest.param((2041, 2040), (0, 255), (2041, 2040), id="the shortest large side"),
        pytest.param((100, 80), (0, 0), (100, 80), id="unknown sides are the declared ones"),
    ],
)
def test_build_takes_the_size_from_blocks_or_the_description(
    declared_wh: tuple[int, int] | None, blocks_wh: tuple[int, int], expected: tuple[int, int]
) -> None:
    headers = JpegHeaders(declared_wh)
    headers.read(payload(blocks_wh=blocks_wh))
    assert expected == size_wh(headers)


@pytest.mark.parametrize("blocks_wh", [(0, 0), (20, 0), (0, 12)])
def test_build_raises_when_a_side_is_unknown(blocks_wh: tuple[int, int]) -> None:
    headers = JpegHeaders()
    headers.read(payload(blocks_wh=blocks_wh))
    with pytest.raises(MalformedError, match="the size of the picture is unknown"):
        headers.build()


FRAME = jpeg.frame_header((4000, 3000), {0: TABLE}, halves_rows=True)
DQT = jpeg.quantization({0: TABLE})


@pytest.mark.parametrize("replay", [b"", b"\xab\xac\x00\x03" + bytes(12)])
def test_extension_gives_size_and_tables_when_rtp_can_not(replay: bytes) -> None:
    headers = JpegHeaders()
    headers.begin()
    headers.extend(replay + extension(DQT, FRAME))
    headers.read(payload(quality=0, blocks_wh=(0, 0)))
    assert (size_wh(headers), tables(headers)) == ((4000, 3000), {0: TABLE})


def test_extension_may_come_in_several_packets() -> None:
    both = DQT + FRAME
    assert len(both[:40]) % 4 == 0
    headers = JpegHeaders()
    headers.extend(extension(both[:40]))
    headers.extend(extension(both[40:], begins=b"\xff\xff"))
    headers.read(payload(quality=0, blocks_wh=(0, 0)))
    assert size_wh(headers) == (4000, 3000)


def test_frame_and_tables_go_on_when_later_extensions_leave_them_out() -> None:
    headers = JpegHeaders()
    headers.extend(extension(DQT, FRAME))
    headers.read(payload(quality=0, blocks_wh=(0, 0)))
    headers.build()
    headers.begin()
    headers.extend(extension(jpeg.restart_interval(9)))
    headers.read(payload(quality=0, blocks_wh=(0, 0)))
    assert (size_wh(headers), parts(headers)[jpeg.DRI]) == ((4000, 3000), b"\x00\x09")


def test_huffman_tables_are_the_usual_ones_again_when_a_picture_has_no_extension() -> None:
    own = {0x00: bytes((1, *bytes(15), 7))}
    headers = JpegHeaders()
    headers.extend(extension(jpeg.huffman(own)))
    headers.read(payload())
    assert dict(jpeg.huffman_tables(parts(headers)[jpeg.DHT])) == {**jpeg.HUFFMAN_TABLES, **own}
    headers.begin()
    headers.read(payload())
    assert dict(jpeg.huffman_tables(parts(headers)[jpeg.DHT])) == jpeg.HUFFMAN_TABLES


def test_an_extension_of_another_kind_is_none() -> None:
    headers = JpegHeaders()
    headers.extend(b"\xbe\xde\x00\x01\x10\x00\x00\x00")
    with pytest.raises(MalformedError, match="unknown JPEG quality 0"):
        headers.read(payload(quality=0))


def test_build_raises_when_the_extension_brings_no_tables() -> None:
    headers = JpegHeaders()
    headers.extend(extension(FRAME))
    headers.read(payload(quality=0))
    with pytest.raises(MalformedError, match="no quantization tables have come"):
        headers.build()


def test_extension_stays_bounded_when_a_picture_has_too_many() -> None:
    headers = JpegHeaders()
    for _ in range(40):
        headers.extend(extension(jpeg.segment(0xFE, bytes(1020))))
    headers.read(payload())
    assert size_wh(headers) == (160, 96)
    assert len(headers._extension) <= 16 << 10
