"""Builds the initialization segment of one video track (ISO/IEC 14496-12 sections 4.3 and 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.live.mp4.boxes import box, full_box, u8, u16, u32
from framelane.live.mp4.fragment import TRACK

if TYPE_CHECKING:
    from framelane.live.mp4.codec_config import CodecConfig

TICKS_PER_S = 90_000
"""The time scale of track and movie: that of RTP video."""
_UNITY = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED = 0x55C4
"""The language "und" (8.4.2.3)."""
_DPI_72 = 0x480000


_NO_SAMPLES = (
    full_box(b"stts", 0, 0, u32(0))
    + full_box(b"stsc", 0, 0, u32(0))
    + full_box(b"stsz", 0, 0, u32(0, 0))
    + full_box(b"stco", 0, 0, u32(0))
)


def init_segment(config: CodecConfig) -> bytes:
    """Return `ftyp` and `moov` for a track of this configuration and no known end."""
    extends = box(b"mvex", full_box(b"trex", 0, 0, u32(TRACK, 1, 0, 0, 0)))
    return box(b"ftyp", b"iso5", u32(512), b"iso5", b"iso6", b"mp41") + movie(config, _NO_SAMPLES, extends)


def movie(
    config: CodecConfig, tables: bytes, extends: bytes = b"", *, ticks: int = 0, skipped_ticks: int = 0
) -> bytes:
    """Return the `moov` of one video track.

    Args:
        config: what a player needs before the first picture.
        tables: the boxes of the sample table that follow the sample description.
        extends: the boxes after the track.
        ticks: what is shown; 0 if that is not known.
        skipped_ticks: media time of the picture that is shown first.
    """
    header = full_box(
        b"mvhd",
        0,
        0,
        u32(0, 0, TICKS_PER_S, ticks, 0x10000),
        u16(0x100),
        bytes(10),
        _UNITY,
        bytes(24),
        u32(2),
    )
    edits = b""
    if ticks:
        edits = box(b"edts", full_box(b"elst", 0, 0, u32(1, ticks, skipped_ticks), u16(1, 0)))
    return box(b"moov", header, _track(config, tables, edits, ticks, ticks + skipped_ticks), extends)


def _track(config: CodecConfig, tables: bytes, edits: bytes, shown_ticks: int, media_ticks: int) -> bytes:
    width, height = config.size_wh
    # Enabled and in the movie (8.3.2).
    header = full_box(
        b"tkhd", 0, 3, u32(0, 0, TRACK, 0, shown_ticks), bytes(16), _UNITY, u32(width << 16, height << 16)
    )
    media = box(
        b"mdia",
        full_box(
            b"mdhd",
            0,
            0,
            u32(0, 0, TICKS_PER_S, media_ticks if shown_ticks else 0),
            u16(_UNDETERMINED, 0),
        ),
        full_box(b"hdlr", 0, 0, u32(0), b"vide", bytes(12), b"video\x00"),
        box(
            b"minf",
            full_box(b"vmhd", 0, 1, bytes(8)),
            box(b"dinf", full_box(b"dref", 0, 0, u32(1), full_box(b"url ", 0, 1))),
            box(b"stbl", full_box(b"stsd", 0, 0, u32(1), _sample_entry(config)), tables),
        ),
    )
    return box(b"trak", header, edits, media)


def _sample_entry(config: CodecConfig) -> bytes:
    """Return the VisualSampleEntry (12.1.3)."""
    return box(
        config.entry,
        bytes(6),
        u16(1),
        bytes(16),
        u16(*config.size_wh),
        u32(_DPI_72, _DPI_72, 0),
        u16(1),
        u8(0) * 32,
        u16(0x18, 0xFFFF),
        config.box,
    )
