"""Reads the headers of JPEG pictures in RTP and builds JPEG file headers (RFC 2435, ONVIF Streaming)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.sources.rtsp import jpeg_segments as jpeg
from framelane.sources.rtsp.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER_BYTES = 8
"""Per packet (RFC 2435 section 3.1)."""
_RESTART_BYTES = 4
_RESTART_BIT = 0x40
"""In the type of pictures with restart markers, whose packets have one more header (section 3.1.7)."""
_KNOWN_TYPES = (0, 1)
_IN_BAND = 128
_MOST_SCALED = 99
_DYNAMIC = 255
_MOST_TABLES = 4
_SHORTEST_LARGE = 2041
"""Pixels. A longer side does not fit into one byte that counts blocks of 8."""
_MOST_EXTENSION = 16 << 10
_BEGINS, _GOES_ON, _REPLAY = b"\xff\xd8", b"\xff\xff", b"\xab\xac"
_REPLAY_BYTES = 16
_EXTENSION_HEAD = 4


def header_bytes(payload: bytes) -> int:
    """Return how many bytes of a packet precede its scan data, without tables."""
    return HEADER_BYTES + (_RESTART_BYTES if payload[4] & _RESTART_BIT else 0)


class JpegHeaders:
    """The header data of one stream's pictures. It may come with each picture or once for many.

    Args:
        size_wh: from the session description, for pictures too large for RTP's size fields; None if unknown.
    """

    def __init__(self, size_wh: tuple[int, int] | None = None) -> None:
        self._declared_wh = size_wh
        self._in_band: dict[int, Mapping[int, bytes]] = {}
        """Tables by Q, for pictures that come without."""
        self._tables: Mapping[int, bytes] = {}
        self._huffman = dict(jpeg.HUFFMAN_TABLES)
        self._blocks = (0, 0)
        self._halves_rows = False
        self._restart = 0
        self._frame = b""
        self._extension = b""
        self._extended = False

    def begin(self) -> None:
        """Start a new picture."""
        self._extension, self._extended = b"", False

    def extend(self, extension: bytes) -> None:
        """Take the RTP header extension of a packet that precedes the scan data."""
        # ONVIF's replay extension; another extension may follow it.
        if extension.startswith(_REPLAY):
            extension = extension[_REPLAY_BYTES:]
        if not extension.startswith((_BEGINS, _GOES_ON)):
            return
        self._extended = True
        if len(self._extension) + len(extension) <= _MOST_EXTENSION:
            end = _EXTENSION_HEAD + 4 * int.from_bytes(extension[2:4], "big")
            self._extension += extension[_EXTENSION_HEAD:end]

    def read(self, payload: bytes) -> int:
        """Take the headers of a picture's first packet and return where its scan data begins.

        Raises:
            MalformedError: the headers make no sense, or need tables that never came.
        """
        kind, quality = payload[4], payload[5]
        at = header_bytes(payload)
        if len(payload) < at:
            raise MalformedError("the restart marker header is cut off")
        if kind & ~_RESTART_BIT not in _KNOWN_TYPES:
            raise MalformedError(f"unknown JPEG type {kind}")
        self._halves_rows = bool(kind & 1)
        self._restart = int.from_bytes(payload[8:10], "big") if kind & _RESTART_BIT else 0
        self._blocks = payload[6], payload[7]
        if quality >= _IN_BAND:
            return self._read_tables(payload, at, quality)
        if quality > _MOST_SCALED or (not quality and not self._extended):
            raise MalformedError(f"unknown JPEG quality {quality}")
        if quality:
            self._tables = jpeg.scaled_tables(quality)
        return at

    def build(self) -> bytes:
        """Return the picture's JPEG header, up to the scan data.

        Raises:
            MalformedError: the size of the picture is unknown, or its extension makes no sense.
        """
        parts = {jpeg.APP0: jpeg.JFIF, jpeg.SOS: jpeg.SCAN}
        if self._restart:
            parts[jpeg.DRI] = jpeg.restart_interval(self._restart)
        if not self._extended:
            self._huffman = dict(jpeg.HUFFMAN_TABLES)
        frame = b""
        for marker, body in jpeg.read_segments(self._extension):
            if marker == jpeg.DQT:
                self._tables = {**self._tables, **dict(jpeg.quantization_tables(body))}
            elif marker == jpeg.DHT:
                self._huffman.update(jpeg.huffman_tables(body))
            elif marker in (jpeg.SOF0, jpeg.SOF1):
                frame = jpeg.segment(marker, body)
            elif marker in (jpeg.APP0, jpeg.DRI, jpeg.SOS):
                parts[marker] = jpeg.segment(marker, body)
        if not self._tables:
            raise MalformedError("no quantization tables have come")
        self._frame = frame or self._frame_header()
        return b"".join(
            (
                *(jpeg.SOI, parts[jpeg.APP0], jpeg.quantization(self._tables)),
                *(parts.get(jpeg.DRI, b""), self._frame),
                *(jpeg.huffman(self._huffman), parts[jpeg.SOS]),
            )
        )

    def _read_tables(self, payload: bytes, at: int, quality: int) -> int:
        """Read tables that come with the picture, or use earlier ones (section 3.1.8)."""
        data = at + 4
        if len(payload) < data:
            raise MalformedError("the header of the quantization tables is cut off")
        precision, end = payload[at + 1], data + int.from_bytes(payload[at + 2 : data], "big")
        if end > len(payload):
            raise MalformedError("the quantization tables are cut off")
        if end > data:
            self._tables = _split(payload[data:end], precision)
            if quality != _DYNAMIC:
                self._in_band[quality] = self._tables
        elif quality in self._in_band:
            self._tables = self._in_band[quality]
        else:
            raise MalformedError(f"no quantization tables have come for Q {quality}")
        return end

    def _frame_header(self) -> bytes:
        size_wh = self._side(0), self._side(1)
        if all(size_wh):
            return jpeg.frame_header(size_wh, self._tables, halves_rows=self._halves_rows)
        if self._extended and self._frame:
            return self._frame
        raise MalformedError("the size of the picture is unknown")

    def _side(self, number: int) -> int:
        """Return the width (0) or height (1) in pixels; 0 if unknown."""
        blocks = self._blocks[number]
        declared = self._declared_wh[number] if self._declared_wh is not None else 0
        # For a side above 2040 pixels, cameras send 0 or the lowest 8 bits.
        if declared and (not blocks or (declared >= _SHORTEST_LARGE and -(-declared // 8) & 0xFF == blocks)):
            return declared
        return 8 * blocks


def _split(data: bytes, precision: int) -> dict[int, bytes]:
    """Return tables by number. A bit of `precision` says for each whether its elements have 16 bits."""
    tables: dict[int, bytes] = {}
    at = 0
    while len(tables) < _MOST_TABLES:
        end = at + (jpeg.TABLE_BYTES << (precision >> len(tables) & 1))
        if end > len(data):
            break
        tables[len(tables)] = data[at:end]
        at = end
    if not tables:
        raise MalformedError("a quantization table is cut off")
    return tables
