"""Reads a stream's parameter sets and tracks which are in force (H.264 7.3.2, H.265 7.3.2)."""

from __future__ import annotations

from typing import Literal

from framelane.sources.codecs.bits import Bits
from framelane.sources.codecs.h264_sequence import MOST_BYTES, read_sequence
from framelane.sources.codecs.nal_units import START_CODE

NalCodec = Literal["h264", "hevc"]

SPS = {"h264": 7, "hevc": 33}
"""NAL unit types of sequence parameter sets (H.264 table 7-1, H.265 table 7-1)."""
PPS = {"h264": 8, "hevc": 34}
"""Of picture parameter sets."""
VPS = 32
"""Of video parameter sets, which only H.265 has."""
_HEADER_BYTES = {"h264": 1, "hevc": 2}
_MOST_KEPT_BYTES = 4096
"""Per set. Most have a few dozen."""
_NO_NUMBER = -1
"""For a set that is cut short."""
_MOST_SETS = 64
_MOST_SIDE = 1 << 15
_YUV444, _YUV420 = 3, 1
_PROFILE_BITS, _LEVEL_BITS = 88, 8


def kind_of_nal(codec: NalCodec, nal: bytes) -> int:
    """Return a NAL unit's type."""
    return nal[0] & 0x1F if codec == "h264" else (nal[0] >> 1) & 0x3F


def picture_size(codec: NalCodec, sps: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels from a sequence parameter set; None if they make no sense."""
    try:
        width, height = read_sequence(sps).size_wh if codec == "h264" else _hevc_size(_bits_of(codec, sps))
    except ValueError:
        return None
    return (width, height) if 0 < width < _MOST_SIDE and 0 < height < _MOST_SIDE else None


def _bits_of(codec: NalCodec, nal: bytes) -> Bits:
    return Bits(nal[:MOST_BYTES], _HEADER_BYTES[codec])


class ParameterSets:
    """The parameter sets in force: the declared ones, updated by those that come in band.

    Args:
        codec: of the sets.
        declared: sets with start codes (Annex B).
    """

    def __init__(self, codec: NalCodec, declared: bytes = b"") -> None:
        self._codec: NalCodec = codec
        self._known: dict[tuple[int, int], bytes] = {}
        self.current = declared
        """All sets with start codes; the same object until one changes."""
        for nal in declared.split(START_CODE)[1:]:
            if nal:
                self._known[self._identity(nal)] = nal

    def add(self, nal: bytes) -> None:
        """Take a set that came in band. It replaces the one with its number."""
        if len(nal) > _MOST_KEPT_BYTES:
            return
        identity = self._identity(nal)
        if self._known.get(identity) == nal or len(self._known) >= _MOST_SETS:
            return
        self._known[identity] = nal
        self.current = b"".join(START_CODE + self._known[key] for key in sorted(self._known))

    def _identity(self, nal: bytes) -> tuple[int, int]:
        """Return type and number."""
        codec = self._codec
        kind, bits = kind_of_nal(codec, nal), _bits_of(codec, nal)
        try:
            if kind == SPS[codec]:
                bits.u(24) if codec == "h264" else skip_profiles(bits)
            return kind, bits.u(4) if kind == VPS and codec == "hevc" else bits.ue()
        except ValueError:
            return kind, _NO_NUMBER


def _hevc_size(bits: Bits) -> tuple[int, int]:
    skip_profiles(bits)
    bits.ue()
    chroma = bits.ue()
    if chroma == _YUV444:
        bits.u(1)
    width, height = bits.ue(), bits.ue()
    left, right, top, bottom = (bits.ue(), bits.ue(), bits.ue(), bits.ue()) if bits.u(1) else (0, 0, 0, 0)
    unit_x = 2 if chroma in (1, 2) else 1
    unit_y = 2 if chroma == _YUV420 else 1
    return width - unit_x * (left + right), height - unit_y * (top + bottom)


def skip_profiles(bits: Bits) -> None:
    """Skip the fields before the number of an H.265 sequence parameter set (7.3.2.2, 7.3.3)."""
    bits.u(4)
    layers = bits.u(3)
    bits.u(1)
    bits.u(_PROFILE_BITS + _LEVEL_BITS)
    present = [(bits.u(1), bits.u(1)) for _ in range(layers)]
    if layers:
        bits.u(2 * (8 - layers))
    for profile, level in present:
        bits.u(_PROFILE_BITS * profile + _LEVEL_BITS * level)
