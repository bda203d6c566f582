"""Reads the first bytes of NAL units, in H.264 and HEVC."""

from __future__ import annotations

from typing import NamedTuple

START_CODE = b"\x00\x00\x00\x01"

# H.264 table in annex D.1.
_RECOVERY_POINT = 6
_MORE = 0xFF
_TRAILING = 0x80


class NalKind(NamedTuple):
    """What a NAL unit holds.

    Attributes:
        slice: whether it is part of a picture.
        key: whether it is a slice of a picture at which decoding can start: IDR in H.264, any IRAP picture in
            HEVC.
        reference: whether other pictures may need the slice's picture; in HEVC, others of its own sub-layer.
        sei: whether it is H.264 supplemental information, which may hold a recovery point.
        leads: whether it always comes before a picture's slices, such as parameter sets.
        sets: one bit per type of parameter set; 0 for all other units.
    """

    slice: bool = False
    key: bool = False
    reference: bool = False
    sei: bool = False
    leads: bool = False
    sets: int = 0


class NalSyntax(NamedTuple):
    """How a codec's NAL units begin: the meaning of each first byte, and the length of the header."""

    kinds: tuple[NalKind, ...]
    header_bytes: int

    def layer(self, header: bytes, at: int = 0) -> int:
        """Return the number of HEVC sub-layers below the unit at `at` (TemporalId, H.265 7.4.2.2); 0 in H.264."""
        second = at + 1
        return (header[second] & 0x07) - 1 if self.header_bytes > 1 and second < len(header) else 0

    def begins(self, data: bytes, at: int) -> bool:
        """Return whether the unit after the start code at `at` leads a picture or is its first slice."""
        kind = self.kinds[data[at + len(START_CODE)]]
        return kind.leads or (kind.slice and self.is_first(data, at))

    def is_first(self, data: bytes, at: int) -> bool:
        """Return whether the slice after the start code at `at` is the first of its picture.

        The first bit is set then: first_mb_in_slice is 0 in H.264 (7.3.3), first_slice_segment_in_pic_flag is
        1 in HEVC.
        """
        first = at + len(START_CODE) + self.header_bytes
        return first < len(data) and data[first] >= 0x80  # noqa: PLR2004 - the first bit


def _h264_kind(header: int) -> NalKind:
    """Classify by H.264 table 7-1 and 7.4.1.2.3.

    Only part A of data partitioning counts; FFmpeg can't decode it.
    """
    kind = header & 0x1F
    if kind in (1, 2, 5):
        return NalKind(slice=True, key=kind == 5, reference=bool(header & 0x60))  # noqa: PLR2004 - table 7-1
    sets = 1 << kind - 7 if kind in (7, 8) else 0
    return NalKind(sei=kind == 6, leads=6 <= kind <= 9, sets=sets)  # noqa: PLR2004 - table 7-1


def _hevc_kind(header: int) -> NalKind:
    """Classify by H.265 table 7-1. Below 16, pictures of even types are not needed within their sub-layer."""
    kind = (header >> 1) & 0x3F
    if kind >= 32:  # noqa: PLR2004 - table 7-1
        sets = 1 << kind - 32 if kind in (32, 33, 34) else 0
        return NalKind(leads=kind in (32, 33, 34, 35, 39), sets=sets)
    return NalKind(slice=True, key=16 <= kind <= 23, reference=kind % 2 == 1 or kind >= 16)  # noqa: PLR2004


NAL_SYNTAXES = {
    "h264": NalSyntax(tuple(map(_h264_kind, range(256))), 1),
    "hevc": NalSyntax(tuple(map(_hevc_kind, range(256))), 2),
}


def recovery_frames(sei: bytes) -> int | None:
    """Return how many frames after a recovery point the image is correct (H.264 D.2.8); None without one.

    Args:
        sei: the messages after an SEI NAL unit's header (H.264 7.3.2.3).
    """
    # Without the emulation prevention bytes of 7.4.1.
    data = sei.replace(b"\x00\x00\x03", b"\x00\x00")
    at = 0
    while at < len(data) and data[at] != _TRAILING:
        kind, at = _number(data, at)
        size, at = _number(data, at)
        if kind == _RECOVERY_POINT:
            return _exp_golomb(data[at : at + size])
        at += size
    return None


def _exp_golomb(data: bytes) -> int:
    """Return the unsigned number at the beginning of the data (9.1); 0 if the data ends too soon."""
    bits = "".join(f"{byte:08b}" for byte in data[:8])
    zeros = len(bits) - len(bits.lstrip("0"))
    coded = bits[zeros : 2 * zeros + 1]
    return int(coded, 2) - 1 if len(coded) == zeros + 1 else 0


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a type or size, which bytes of 255 extend, and where it ends."""
    value = 0
    while at < len(data) and data[at] == _MORE:
        value += _MORE
        at += 1
    return (value + data[at], at + 1) if at < len(data) else (value, at)
