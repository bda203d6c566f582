"""A camera that sends AV1 over RTSP (AOM's "RTP Payload Format For AV1", version 1.0)."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz.rogue_server import Client

_CLOCK_HZ = 90_000
_TEMPORAL_DELIMITER, _SEQUENCE_HEADER = 2, 1
_HAS_EXTENSION, _HAS_SIZE = 0x04, 0x02
_STARTS_SEQUENCE = 0x08
_SDP = "".join(
    f"{line}\r\n"
    for line in (
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=av1",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 AV1/90000",
        "a=control:trackID=0",
    )
)


@dataclass(frozen=True)
class Av1Camera:
    """Call it with each connection. It sends `burst` pictures at once, and then `fps` per second."""

    pictures: tuple[bytes, ...]
    fps: float = 15.0
    burst: int = 0

    def __call__(self, client: Client) -> None:
        """Answer, then play forever."""
        client.set_up(_SDP)
        began_s, number = time.monotonic(), 0
        while True:
            obus = list(_obus(self.pictures[number % len(self.pictures)]))
            begins = any(kind == _SEQUENCE_HEADER for kind, _ in obus)
            elements = b"".join(_leb128(len(obu)) + obu for _, obu in obus)
            stamp = round(number / self.fps * _CLOCK_HZ)
            head = struct.pack(">BBHII", 0x80, 0x80 | 96, number & 0xFFFF, stamp, 7)
            client.packet(head + bytes([_STARTS_SEQUENCE if begins else 0]) + elements)
            number += 1
            due_s = began_s + max(number - self.burst, 0) / self.fps
            client.pause(max(due_s - time.monotonic(), 0.0))


def av1_pictures(count: int, size: tuple[int, int] = (128, 96)) -> tuple[bytes, ...]:
    """Temporal units of a small moving picture, a key frame every 30; its sequence header declares no rate."""
    encoder = av.CodecContext.create("libsvtav1", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 15)
    encoder.framerate = Fraction(15)
    encoder.options = {"preset": "12", "g": "30", "svtav1-params": "pred-struct=1:lookahead=0:scd=0"}
    units = []
    for number in range(count):
        picture = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
        picture[: size[1], number % size[0] :] = 60
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts = number
        units += [bytes(packet) for packet in encoder.encode(frame)]
    return (*units, *(bytes(packet) for packet in encoder.encode(None)))


def _obus(unit: bytes) -> Iterator[tuple[int, bytes]]:
    """Open bitstream units as they are sent: without their sizes, and without temporal delimiters."""
    at = 0
    while at < len(unit):
        header = unit[at]
        kind = header >> 3 & 0x0F
        head = 2 if header & _HAS_EXTENSION else 1
        size, begin = _number(unit, at + head)
        if kind != _TEMPORAL_DELIMITER:
            yield kind, bytes([header & ~_HAS_SIZE]) + unit[at + 1 : at + head] + unit[begin : begin + size]
        at = begin + size


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
