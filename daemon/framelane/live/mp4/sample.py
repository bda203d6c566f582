"""Turns access units into MP4 samples: NAL units after their lengths, without parameter sets."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from framelane.live.mp4.codec_config import nal_units
from framelane.sources.codecs.parameter_sets import kind_of_nal

if TYPE_CHECKING:
    from framelane.sources.codecs.parameter_sets import NalCodec

_LENGTH = struct.Struct(">I")
_START_CODES = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
# Parameter sets, which the initialization segment has, and delimiters (H.264 table 7-1, H.265 table 7-1).
_LEFT_OUT = {"h264": frozenset({7, 8, 9}), "hevc": frozenset({32, 33, 34, 35})}


def sample(codec: NalCodec, unit: bytes) -> bytes:
    """Return the sample of an access unit.

    Containers such as FLV have lengths before NAL units already; such a unit is returned as it is.
    """
    if not unit.startswith(_START_CODES):
        return unit
    out = _LEFT_OUT[codec]
    pieces: list[bytes] = []
    for nal in nal_units(unit):
        if kind_of_nal(codec, nal) not in out:
            pieces += (_LENGTH.pack(len(nal)), nal)
    return b"".join(pieces)
