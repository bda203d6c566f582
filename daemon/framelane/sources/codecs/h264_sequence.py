"""Reads H.264 sequence parameter sets (H.264 7.3.2.1.1)."""

from __future__ import annotations

from typing import NamedTuple

from framelane.sources.codecs.bits import Bits

MOST_BYTES = 1024
"""Bytes of a set that are read. Most sets have a few dozen, those with scaling lists a few hundred."""
_WITH_CHROMA = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
"""Profiles whose sets include the chroma format."""
_YUV444, _YUV420 = 3, 1
_MOST_OFFSETS = 255
_LISTS_4X4 = 6


class Sequence(NamedTuple):
    """A sequence parameter set.

    Attributes:
        number: its id, which picture parameter sets refer to.
        frame_bits: how many bits a frame number has.
        separate_planes: whether each color plane has its own slices.
        may_skip: whether gaps in frame numbers are allowed.
        size_wh: the declared size of the pictures in pixels.
    """

    number: int
    frame_bits: int
    separate_planes: bool
    may_skip: bool
    size_wh: tuple[int, int]


def read_sequence(nal: bytes) -> Sequence:
    """Parse a sequence parameter set.

    Args:
        nal: the NAL unit; data after it is ignored.

    Raises:
        ValueError: the unit is cut short.
    """
    bits = Bits(nal[:MOST_BYTES])
    profile = bits.u(8)
    bits.u(16)
    number = bits.ue()
    chroma, separate = _YUV420, False
    if profile in _WITH_CHROMA:
        chroma = bits.ue()
        separate = chroma == _YUV444 and bool(bits.u(1))
        bits.ue(), bits.ue(), bits.u(1)
        if bits.u(1):
            _pass_scaling_lists(bits, 12 if chroma == _YUV444 else 8)
    frame_bits = bits.ue() + 4
    _pass_order_counts(bits)
    bits.ue()
    may_skip = bool(bits.u(1))
    return Sequence(number, frame_bits, separate, may_skip, _size(bits, chroma))


def _size(bits: Bits, chroma: int) -> tuple[int, int]:
    columns, rows = bits.ue() + 1, bits.ue() + 1
    fields = 2 - bits.u(1)
    if fields > 1:
        bits.u(1)
    bits.u(1)
    left, right, top, bottom = (bits.ue(), bits.ue(), bits.ue(), bits.ue()) if bits.u(1) else (0, 0, 0, 0)
    unit_x = 2 if chroma in (1, 2) else 1
    unit_y = fields * (2 if chroma == _YUV420 else 1)
    return 16 * columns - unit_x * (left + right), 16 * fields * rows - unit_y * (top + bottom)


def _pass_scaling_lists(bits: Bits, count: int) -> None:
    """Skip scaling matrices (7.3.2.1.1.1)."""
    for index in range(count):
        if not bits.u(1):
            continue
        scale = 8
        for _ in range(16 if index < _LISTS_4X4 else 64):
            scale = (scale + bits.se()) % 256
            if not scale:
                break


def _pass_order_counts(bits: Bits) -> None:
    """Skip the fields about the coding of picture order counts."""
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.u(1), bits.se(), bits.se()
        for _ in range(min(bits.ue(), _MOST_OFFSETS)):
            bits.se()
