"""What the first bytes of a NAL unit say, in H.264 and HEVC."""

from __future__ import annotations

from typing import NamedTuple

START_CODE = b"\x00\x00\x00\x01"

_RECOVERY_POINT = 6  # H.264 table in annex D.1
_MORE = 0xFF
_TRAILING = 0x80


class NalKind(NamedTuple):
    """What a NAL unit holds.

    Attributes:
        slice: a part of a picture.
        key: a slice of a picture at which decoding can start: IDR in H.264, any random access picture in HEVC.
        reference: a slice of a picture that others may need; in HEVC others of its own sub-layer.
        sei: H.264's supplemental information, which may tell of a recovery point.
        leads: comes before the slices of a picture alone, such as parameter sets.
    """

    slice: bool = False
    key: bool = False
    reference: bool = False
    sei: bool = False
    leads: bool = False


class NalSyntax(NamedTuple):
    """How a codec begins its NAL units: what each first byte says, and how long the header is."""

    kinds: tuple[NalKind, ...]
    header_bytes: int

    def layer(self, header: bytes, at: int = 0) -> int:
        """How many of HEVC's sub-layers lie below the NAL unit at `at` (TemporalId, H.265 7.4.2.2); 0 in H.264."""
        second = at + 1
        return (header[second] & 0x07) - 1 if self.header_bytes > 1 and second < len(header) else 0

    def begins(self, data: bytes, at: int) -> bool:
        """Whether the NAL unit behind the start code at `at` begins a picture: leads to it, or is its first slice."""
        kind = self.kinds[data[at + len(START_CODE)]]
        return kind.leads or (kind.slice and self.is_first(data, at))

    def is_first(self, data: bytes, at: int) -> bool:
        """Whether the slice behind the start code at `at` is its picture's first.

        The first bit says so: first_mb_in_slice is 0 in H.264 (7.3.3), first_slice_segment_in_pic_flag set in HEVC.
        """
        first = at + len(START_CODE) + self.header_bytes
        return first < len(data) and data[first] >= 0x80  # noqa: PLR2004 - the first bit


def _h264_kind(header: int) -> NalKind:
    """H.264 table 7-1; 7.4.1.2.3 says what leads. Of data partitioning, which FFmpeg can't decode, part A alone."""
    kind = header & 0x1F
    if kind in (1, 2, 5):
        return NalKind(slice=True, key=kind == 5, reference=bool(header & 0x60))  # noqa: PLR2004 - table 7-1
    return NalKind(sei=kind == 6, leads=6 <= kind <= 9)  # noqa: PLR2004 - table 7-1


def _hevc_kind(header: int) -> NalKind:
    """H.265 table 7-1: below 16 the even types are those that no picture of their own sub-layer needs."""
    kind = (header >> 1) & 0x3F
    if kind >= 32:  # noqa: PLR2004 - table 7-1
        return NalKind(leads=kind in (32, 33, 34, 35, 39))
    return NalKind(slice=True, key=16 <= kind <= 23, reference=kind % 2 == 1 or kind >= 16)  # noqa: PLR2004


NAL_SYNTAXES = {
    "h264": NalSyntax(tuple(map(_h264_kind, range(256))), 1),
    "hevc": NalSyntax(tuple(map(_hevc_kind, range(256))), 2),
}


def tells_of_recovery(sei: bytes) -> bool:
    """Whether one of the messages behind an SEI NAL unit's header is a recovery point (H.264 7.3.2.3)."""
    data = sei.replace(b"\x00\x00\x03", b"\x00\x00")  # the emulation prevention of 7.4.1
    at = 0
    while at < len(data) and data[at] != _TRAILING:
        kind, at = _number(data, at)
        size, at = _number(data, at)
        if kind == _RECOVERY_POINT:
            return True
        at += size
    return False


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A type or size, which 255s lengthen, and where it ends."""
    value = 0
    while at < len(data) and data[at] == _MORE:
        value += _MORE
        at += 1
    return (value + data[at], at + 1) if at < len(data) else (value, at)
