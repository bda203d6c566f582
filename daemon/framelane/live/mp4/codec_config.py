"""Turns parameter sets into an MP4 decoder configuration and a codec string (ISO/IEC 14496-15, RFC 6381)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from framelane.live.mp4.boxes import box, u8, u16
from framelane.sources.codecs.bits import Bits
from framelane.sources.codecs.h264_sequence import MOST_BYTES
from framelane.sources.codecs.parameter_sets import PPS, SPS, VPS, kind_of_nal, picture_size, skip_profiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.sources.codecs.parameter_sets import NalCodec

_START = b"\x00\x00\x01"
_LENGTH_SIZE_MINUS_1 = 3
_MOST_SETS = 31
_YUV444 = 3
_CONFIGURED = b"\x01"
"""The first byte of a decoder configuration that a container has made; parameter sets begin with 0."""
_FORBIDDEN = 0x80
"""The first bit of a NAL unit's header, which is never set."""


class CodecConfig(NamedTuple):
    """What a player needs before the first picture.

    Attributes:
        text: the codec string, such as `avc1.64001F`.
        entry: the four letters of the sample entry.
        box: the `avcC` or `hvcC` box.
        size_wh: the coded size in pixels.
    """

    text: str
    entry: bytes
    box: bytes
    size_wh: tuple[int, int]


def nal_units(data: bytes) -> list[bytes]:
    """Return the NAL units of data with start codes (Annex B), without padding zeros.

    No unit ends with a zero, so the first byte of a longer start code counts as padding too.
    """
    return [nal for each in data.split(_START) if (nal := each.rstrip(b"\x00"))]


def codec_config(codec: NalCodec, extradata: bytes) -> CodecConfig | None:
    """Return the configuration of parameter sets, with start codes or as a container has them.

    None if they are incomplete or make no sense.
    """
    try:
        if extradata.startswith(_CONFIGURED):
            sets = _configured_sets(codec, extradata)
        else:
            sets = [nal for nal in nal_units(extradata) if not nal[0] & _FORBIDDEN]
        return _h264(sets) if codec == "h264" else _hevc(sets)
    except (ValueError, IndexError):
        return None


def _of_kind(codec: NalCodec, sets: Sequence[bytes], kind: int) -> list[bytes]:
    return [nal for nal in sets if kind_of_nal(codec, nal) == kind][:_MOST_SETS]


def _h264(sets: Sequence[bytes]) -> CodecConfig | None:
    sps, pps = _of_kind("h264", sets, SPS["h264"]), _of_kind("h264", sets, PPS["h264"])
    size = picture_size("h264", sps[0]) if sps else None
    if size is None or not pps:
        return None
    profile, compatible, level = sps[0][1:4]
    record = (
        u8(1, profile, compatible, level, 0xFC | _LENGTH_SIZE_MINUS_1, 0xE0 | len(sps)),
        *(u16(len(nal)) + nal for nal in sps),
        u8(len(pps)),
        *(u16(len(nal)) + nal for nal in pps),
    )
    return CodecConfig(f"avc1.{profile:02X}{compatible:02X}{level:02X}", b"avc1", box(b"avcC", *record), size)


def _hevc(sets: Sequence[bytes]) -> CodecConfig | None:
    arrays = [(kind, _of_kind("hevc", sets, kind)) for kind in (VPS, SPS["hevc"], PPS["hevc"])]
    sps = arrays[1][1]
    size = picture_size("hevc", sps[0]) if sps else None
    if size is None or not all(nals for _, nals in arrays):
        return None
    # General profile, tier and level stand at a fixed place (H.265 7.3.2.2.1, 7.3.3).
    plain = sps[0].replace(b"\x00\x00\x03", b"\x00\x00")
    general, layers = plain[3:15], ((plain[2] >> 1) & 7) + 1
    if len(general) < 12:  # noqa: PLR2004 - H.265 7.3.3
        return None
    chroma, luma_bits, chroma_bits = _hevc_format(sps[0])
    record = (
        u8(1) + general,
        u16(0xF000),
        u8(0xFC, 0xFC | chroma, 0xF8 | luma_bits, 0xF8 | chroma_bits),
        u16(0),
        u8(layers << 3 | (plain[2] & 1) << 2 | _LENGTH_SIZE_MINUS_1, len(arrays)),
        *(
            u8(0x80 | kind) + u16(len(nals)) + b"".join(u16(len(nal)) + nal for nal in nals)
            for kind, nals in arrays
        ),
    )
    return CodecConfig(_hevc_text(general), b"hvc1", box(b"hvcC", *record), size)


def _hevc_text(general: bytes) -> str:
    """Return the codec string of H.265 (ISO/IEC 14496-15 annex E.3)."""
    space, tier = general[0] >> 6, general[0] >> 5 & 1
    flags = int(f"{int.from_bytes(general[1:5], 'big'):032b}"[::-1], 2)
    constraints = general[5:11].rstrip(b"\x00")
    profile = ("", "A", "B", "C")[space] + str(general[0] & 0x1F)
    parts = [
        "hvc1",
        profile,
        f"{flags:X}",
        f"{'LH'[tier]}{general[11]}",
        *(f"{each:X}" for each in constraints),
    ]
    return ".".join(parts)


def _hevc_format(sps: bytes) -> tuple[int, int, int]:
    """Return the chroma format, and the bits of luma and chroma minus 8 (H.265 7.3.2.2.1)."""
    bits = Bits(sps[:MOST_BYTES], 2)
    skip_profiles(bits)
    bits.ue()
    chroma = bits.ue()
    if chroma == _YUV444:
        bits.u(1)
    bits.ue(), bits.ue()
    if bits.u(1):
        bits.ue(), bits.ue(), bits.ue(), bits.ue()
    luma, color = bits.ue(), bits.ue()
    if chroma > _YUV444 or max(luma, color) > 7:  # noqa: PLR2004 - three bits in hvcC
        raise ValueError("no such format")
    return chroma, luma, color


def _configured_sets(codec: NalCodec, record: bytes) -> list[bytes]:
    """Return the parameter sets of an `avcC` or `hvcC` record."""
    sets: list[bytes] = []
    if codec == "h264":
        at = _take_sets(record, 6, record[5] & 0x1F, sets)
        _take_sets(record, at + 1, record[at], sets)
        return sets
    at = 23
    for _ in range(record[22]):
        count = int.from_bytes(record[at + 1 : at + 3], "big")
        at = _take_sets(record, at + 3, count, sets)
    return sets


def _take_sets(record: bytes, at: int, count: int, into: list[bytes]) -> int:
    for _ in range(count):
        end = at + 2 + int.from_bytes(record[at : at + 2], "big")
        if end > len(record) or end == at + 2:
            raise ValueError("the record ends here")
        into.append(record[at + 2 : end])
        at = end
    return at
