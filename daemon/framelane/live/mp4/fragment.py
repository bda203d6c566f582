"""Builds a movie fragment of one picture: one `moof` and one `mdat` (ISO/IEC 14496-12 section 8.8)."""

from __future__ import annotations

import struct

TRACK = 1
_MOST_TICKS = (1 << 31) - 1
# sample_depends_on, sample_is_non_sync_sample (8.8.3.1): a key frame depends on no other picture.
_KEY, _OTHER = 0x02000000, 0x01010000
# default-base-is-moof; data offset, and duration, size, flags and time offset of each sample (8.8.7, 8.8.8).
_TFHD, _TRUN = 0x020000, 0x000F01
_MOOF_BYTES = 104
_FRAGMENT = struct.Struct(
    ">I4s"  # moof
    "I4sII"  # mfhd: version and flags, sequence number
    "I4s"  # traf
    "I4sII"  # tfhd: version and flags, track
    "I4sIQ"  # tfdt: version and flags, decoding time
    "I4sIIi"  # trun: version and flags, count, data offset
    "IIIi"  # the sample: duration, size, flags, presentation minus decoding time
    "I4s"  # mdat
)


def fragment(
    number: int, decode_ticks: int, show_ticks: int, duration_ticks: int, *, key: bool, sample: bytes
) -> bytes:
    """Return the fragment of one picture.

    Args:
        number: the fragment's sequence number.
        decode_ticks: decoding time in the track's time scale.
        show_ticks: presentation time.
        duration_ticks: the picture's duration.
        key: whether decoding can begin here.
        sample: the picture's NAL units, each after its length in four bytes.
    """
    offset = max(min(show_ticks - decode_ticks, _MOST_TICKS), -_MOST_TICKS)
    head = _FRAGMENT.pack(
        _MOOF_BYTES,
        b"moof",
        *(16, b"mfhd", 0, number & 0xFFFFFFFF),
        *(80, b"traf"),
        *(16, b"tfhd", _TFHD, TRACK),
        *(20, b"tfdt", 1 << 24, decode_ticks),
        *(36, b"trun", 1 << 24 | _TRUN, 1, _MOOF_BYTES + 8),
        *(duration_ticks, len(sample), _KEY if key else _OTHER, offset),
        *(8 + len(sample), b"mdat"),
    )
    return head + sample
