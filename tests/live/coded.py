"""Encodes pictures that carry their own number, as a camera's access units."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import av
import numpy as np
from av.codec.context import CodecContext

from framelane.sources.codecs.nal_units import START_CODE
from framelane.sources.interfaces.units import Unit, packet_of
from framelane.sources.timing.arrival_clock import Arrival

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["h264", "h264-bframes", "hevc"]
TIME_BASE = Fraction(1, 90_000)
FPS = 25
TICKS = 90_000 // FPS
BITS = 16
_CELL = 16
_X265 = "log-level=none:pools=1:frame-threads=1:bframes=0:keyint=10:min-keyint=10:repeat-headers=1"
_ENCODERS: dict[Kind, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "g": "10", "threads": "1"}),
    "h264-bframes": (
        "libx264",
        {"preset": "veryfast", "bf": "2", "g": "12", "threads": "1", "sc_threshold": "0"},
    ),
    "hevc": ("libx265", {"preset": "ultrafast", "x265-params": _X265}),
}


class Coded(NamedTuple):
    """An access unit with start codes, and the number of its picture."""

    data: bytes
    number: int
    key: bool


class Recording(NamedTuple):
    """Access units in decoding order, and their parameter sets with start codes."""

    codec: str
    units: tuple[Coded, ...]
    extradata: bytes


def numbered(number: int, size_wh: tuple[int, int] = (320, 240)) -> NDArray[np.uint8]:
    """Return a gray picture [H, W] with its number as black and white cells at the top."""
    width, height = size_wh
    image = np.full((height, width), 90 + number % 40, np.uint8)
    for bit in range(BITS):
        image[:_CELL, bit * _CELL : (bit + 1) * _CELL] = 235 if number >> bit & 1 else 16
    return image


def number_of(luma: NDArray[np.uint8]) -> int:
    """Return the number that a decoded picture carries."""
    row = luma[_CELL // 2, _CELL // 2 : BITS * _CELL : _CELL]
    return sum(1 << bit for bit, value in enumerate(row) if value > 128)


@cache
def recording(kind: Kind = "h264", count: int = 40, size_wh: tuple[int, int] = (320, 240)) -> Recording:
    """Return pictures number 0 to `count`, encoded."""
    name, options = _ENCODERS[kind]
    encoder: Any = CodecContext.create(name, "w")
    encoder.width, encoder.height = size_wh
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, FPS), FPS
    encoder.options = options
    packets: list[Any] = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(numbered(number, size_wh), format="gray").reformat(
            format="yuv420p"
        )
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    units = tuple(Coded(bytes(packet), packet.pts, packet.is_keyframe) for packet in packets)
    codec = kind.partition("-")[0]
    return Recording(codec, units, _sets(codec, units[0].data))


def unit_of(coded: Coded, extradata: bytes, *, late_s: float = 0.0, whole: bool = True) -> Unit:
    """Return a unit that arrives at the pace of its number."""
    packet = packet_of(coded.data, coded.number * TICKS, TIME_BASE)
    at_s = coded.number / FPS + late_s
    arrival = Arrival(at_s, 1_000_000.0 + at_s, "receive")
    return Unit(packet, coded.key, disposable=False, arrival=arrival, whole=whole, extradata=extradata)


def _sets(codec: str, key_unit: bytes) -> bytes:
    data = key_unit.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01")
    wanted = {7, 8} if codec == "h264" else {32, 33, 34}
    nals = [nal for nal in data.split(b"\x00\x00\x01") if nal]
    return b"".join(
        START_CODE + nal
        for nal in nals
        if (nal[0] & 0x1F if codec == "h264" else nal[0] >> 1 & 0x3F) in wanted
    )
