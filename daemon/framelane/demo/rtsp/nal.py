"""Finds the parameter sets of an H.264 or H.265 clip, and which access units already hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# SPS, PPS: ITU-T H.264 table 7-1.
H264_PARAMETER_SETS = (7, 8)
# VPS, SPS, PPS: ITU-T H.265 table 7-1.
HEVC_PARAMETER_SETS = (32, 33, 34)
PARAMETER_SET_TYPES = {"h264": H264_PARAMETER_SETS, "hevc": HEVC_PARAMETER_SETS}


@dataclass(frozen=True, slots=True)
class NalFormat:
    """How a clip stores its NAL units: `length_bytes` is 0 for Annex B start codes."""

    codec: str
    length_bytes: int
    parameter_sets: tuple[bytes, ...]

    def type_of(self, nal: bytes) -> int:
        """Return the nal_unit_type of a NAL unit (header of one byte in H.264, two in H.265)."""
        return (nal[0] & 0x1F) if self.codec == "h264" else (nal[0] >> 1) & 0x3F

    def split(self, data: bytes) -> Iterator[bytes]:
        """Return the NAL units of one access unit, without prefixes."""
        return split_annex_b(data) if self.length_bytes == 0 else split_prefixed(data, self.length_bytes)

    def carries_parameter_sets(self, data: bytes) -> bool:
        """Return whether an access unit has its own parameter sets."""
        wanted = PARAMETER_SET_TYPES[self.codec]
        return any(self.type_of(nal) in wanted for nal in self.split(data))

    def of_type(self, nal_type: int) -> list[bytes]:
        """Return the parameter sets of one nal_unit_type."""
        return [nal for nal in self.parameter_sets if self.type_of(nal) == nal_type]


def read_format(codec: str, extradata: bytes) -> NalFormat:
    """Read `extradata`: avcC or hvcC (ISO/IEC 14496-15 5.3.3, 8.3.3), or Annex B."""
    if not extradata or extradata[0] != 1:
        annex_b = NalFormat(codec, 0, ())
        wanted = PARAMETER_SET_TYPES[codec]
        found = tuple(nal for nal in split_annex_b(extradata) if annex_b.type_of(nal) in wanted)
        return NalFormat(codec, 0, found)
    return _read_avcc(extradata) if codec == "h264" else _read_hvcc(extradata)


def split_annex_b(data: bytes) -> Iterator[bytes]:
    """Yield NAL units between start codes 00 00 01 (trailing zero bytes belong to none)."""
    for piece in data.split(b"\x00\x00\x01")[1:]:
        nal = piece.rstrip(b"\x00")
        if nal:
            yield nal


def split_prefixed(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """Yield NAL units that each follow a big-endian length."""
    at = 0
    while at + length_bytes <= len(data):
        size = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        if size:
            yield data[at : at + size]
        at += size


def _read_avcc(extradata: bytes) -> NalFormat:
    found: list[bytes] = []
    at, count = 6, extradata[5] & 0x1F
    # SPS, then PPS.
    for _ in range(2):
        for _ in range(count):
            at = _take(extradata, at, found)
        count, at = (extradata[at], at + 1) if at < len(extradata) else (0, at)
    return NalFormat("h264", (extradata[4] & 3) + 1, tuple(found))


def _read_hvcc(extradata: bytes) -> NalFormat:
    found: list[bytes] = []
    at = 23
    for _ in range(extradata[22]):
        kept: list[bytes] = []
        nal_type = extradata[at] & 0x3F
        count = int.from_bytes(extradata[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            at = _take(extradata, at, kept)
        if nal_type in HEVC_PARAMETER_SETS:
            found += kept
    return NalFormat("hevc", (extradata[21] & 3) + 1, tuple(found))


def _take(extradata: bytes, at: int, into: list[bytes]) -> int:
    size = int.from_bytes(extradata[at : at + 2], "big")
    into.append(extradata[at + 2 : at + 2 + size])
    return at + 2 + size
