"""JPEG pictures, cut into RTP payloads as RFC 2435 and ONVIF have it, and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import av
import cv2
import numpy as np
from tests.sources.pictures import fingerprint

from framelane.sources.rtsp.jpeg_units import JpegUnits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from framelane.sources.rtsp.rtp_unit import RtpUnit

TICKS = 3600  # of 90 kHz, at 25 pictures a second
SAMPLINGS = {0: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, 1: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420}
"""By RTP's type."""
PIECE = 300


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file, taken apart."""

    file: bytes
    segments: tuple[tuple[int, bytes], ...]
    scan: bytes

    def bodies(self, marker: int) -> list[bytes]:
        """Of the segments with this marker."""
        return [body for each, body in self.segments if each == marker]

    @property
    def tables(self) -> bytes:
        """Both quantization tables."""
        return b"".join(body[1:] for body in self.bodies(0xDB))

    @property
    def restart(self) -> int:
        """Blocks between restart markers, 0 for none."""
        return next((int.from_bytes(body, "big") for body in self.bodies(0xDD)), 0)

    @property
    def size_wh(self) -> tuple[int, int]:
        """In pixels."""
        body = self.bodies(0xC0)[0]
        return int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")


def draw(
    number: int,
    size_wh: tuple[int, int] = (160, 96),
    *,
    quality: int = 75,
    kind: int = 1,
    restart: int = 0,
    optimized: bool = False,
) -> Jpeg:
    """A picture, different for each number."""
    width, height = size_wh
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    noise = np.random.default_rng(number).integers(0, 40, (height, width))
    planes = [(columns + 20 * number) % 256, (2 * rows + number) % 256, (columns + rows) % 216 + noise]
    pixels = np.stack(planes, axis=2).astype(np.uint8)
    options = {
        cv2.IMWRITE_JPEG_QUALITY: quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: SAMPLINGS[kind],
        cv2.IMWRITE_JPEG_RST_INTERVAL: restart,
        cv2.IMWRITE_JPEG_OPTIMIZE: int(optimized),
    }
    done, coded = cv2.imencode(".jpg", pixels, [number for pair in options.items() for number in pair])
    assert done
    return take_apart(coded.tobytes())


def take_apart(file: bytes) -> Jpeg:
    """Read a file's segments up to the scan data."""
    at, segments = 2, []
    while True:
        marker, end = file[at + 1], at + 2 + int.from_bytes(file[at + 2 : at + 4], "big")
        segments.append((marker, file[at + 4 : end]))
        at = end
        if marker == 0xDA:
            return Jpeg(file, tuple(segments), file[at:].removesuffix(b"\xff\xd9"))


@dataclass(frozen=True)
class JpegPacket:
    """What the reader knows of an RTP packet, and whether it gets lost."""

    payload: bytes
    stamp: int
    marked: bool = False
    extension: bytes = b""
    lost: bool = False


@dataclass(frozen=True)
class Sender:
    """How pictures are cut.

    `quality` is RTP's Q; with 128 and more, tables come with those pictures that `tables` names, or with all.
    `blocks` is sent in place of the size.
    """

    quality: int = 255
    kind: int = 1
    blocks: tuple[int, int] | None = None
    tables: Sequence[int] | None = None
    piece: int = PIECE

    def packets(self, picture: Jpeg, number: int = 0, extension: bytes = b"") -> list[JpegPacket]:
        """The packets of a picture; the extension comes with the first."""
        blocks = self.blocks or tuple(-(-side // 8) for side in picture.size_wh)
        kind = self.kind | (0x40 if picture.restart else 0)
        found = []
        for at in range(0, len(picture.scan), self.piece):
            head = b"\x00" + at.to_bytes(3, "big") + bytes((kind, self.quality, *blocks))
            if picture.restart:
                head += picture.restart.to_bytes(2, "big") + b"\xff\xff"
            if not at and self.quality >= 128:
                tables = picture.tables if self.tables is None or number in self.tables else b""
                head += b"\x00\x00" + len(tables).to_bytes(2, "big") + tables
            last = at + self.piece >= len(picture.scan)
            payload = head + picture.scan[at : at + self.piece]
            found.append(JpegPacket(payload, TICKS * number, last, b"" if at else extension))
        return found


def header_extension(*segments: tuple[int, bytes], identifier: bytes = b"\xff\xd8") -> bytes:
    """ONVIF's: segments, filled up to words of 4 bytes."""
    body = b"".join(bytes((0xFF, m)) + (len(each) + 2).to_bytes(2, "big") + each for m, each in segments)
    body += b"\xff" * (-len(body) % 4)
    return identifier + (len(body) // 4).to_bytes(2, "big") + body


class JpegReader:
    """Feeds packets; knows of each picture with which packet it came. Packet n is read at n seconds."""

    def __init__(self, *, early: bool = True, size_wh: tuple[int, int] | None = None) -> None:
        self.units: list[RtpUnit] = []
        self.came_with: list[int] = []
        self.rtp = JpegUnits(self._take, early=early, size_wh=size_wh)
        self._number = -1

    def _take(self, unit: RtpUnit) -> None:
        self.units.append(unit)
        self.came_with.append(self._number)

    def feed(self, *packets: JpegPacket | Iterable[JpegPacket]) -> JpegReader:
        """Feed packets, or lists of them."""
        for each in packets:
            for packet in [each] if isinstance(each, JpegPacket) else each:
                self._number += 1
                if packet.lost:
                    self.rtp.lost()
                    continue
                if packet.extension:
                    self.rtp.extension(packet.extension)
                self.rtp.feed(packet.payload, packet.stamp, float(self._number), marked=packet.marked)
        return self

    @property
    def whole(self) -> list[bool]:
        """Of each picture."""
        return [unit.whole for unit in self.units]

    @property
    def pixels(self) -> list[bytes]:
        """Fingerprints of the whole pictures."""
        return [decoded(unit.data) for unit in self.units if unit.whole]


def decoded(file: bytes) -> bytes:
    """A fingerprint of what FFmpeg decodes."""
    frames = cast("Any", av.CodecContext.create("mjpeg", "r")).decode(av.Packet(file))
    assert len(frames) == 1
    assert not frames[0].is_corrupt
    return fingerprint(frames[0])
