"""How a surface becomes a copy: where its planes of 8-bit samples lie in one block, and Y, U and V in these."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from framelane.models.input.pixel_formats import LAYOUTS

if TYPE_CHECKING:
    from framelane.models.input.letterbox import SizeWH

Region = tuple[int, int, int, int]
"""A rectangle of a frame in whole pixels: left, top, right, bottom; the last two are outside."""

_ALIGN = 256
# What a copy becomes in host memory, by its subsampling and whether chroma is interleaved: all that NVDEC
# decodes to. Planar, as from the CPU's decoders, so that the same code of swscale makes the same colors.
_FORMATS = {((1, 1), True): "yuv420p", ((1, 0), True): "yuv422p", ((0, 0), False): "yuv444p"}


@dataclass(frozen=True, slots=True)
class CopiedPart:
    """One plane of a copy: `offset` of its first byte in the block, bytes from line to line, and its size."""

    offset: int
    pitch: int
    samples: int
    lines: int


@dataclass(frozen=True, slots=True)
class Channel:
    """Y, U or V in a copy.

    Attributes:
        offset: of its first sample in the block.
        pitch: bytes from line to line.
        step: bytes from one sample to the next.
        subsampling_xy: pixels of the frame per sample, as powers of two.
    """

    offset: int
    pitch: int
    step: int
    subsampling_xy: tuple[int, int]

    def begin(self, region: Region) -> int:
        """Return where a region of the frame begins in the block.

        From an odd pixel on, color is half a pixel off, which nobody sees; footage/pixels.py does the same.
        """
        across, down = self.subsampling_xy
        return self.offset + (region[1] >> down) * self.pitch + (region[0] >> across) * self.step

    def size_wh(self, size_wh: SizeWH) -> SizeWH:
        """Return how many samples a region of this size has."""
        across, down = self.subsampling_xy
        return -(-size_wh[0] >> across), -(-size_wh[1] >> down)


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """How surfaces of one pixel format and size are copied.

    Attributes:
        size_wh: of the frame.
        parts: the copy's planes, as the surface has them.
        channels: Y, U and V.
        size: bytes of all planes.
        sample_bytes: of the surface.
        sample_scale: factor from a surface's sample of two bytes to the 8-bit scale.
        pixel_format: of what is brought to the host.
    """

    size_wh: SizeWH
    parts: tuple[CopiedPart, ...]
    channels: tuple[Channel, ...]
    size: int
    sample_bytes: int
    sample_scale: float
    pixel_format: str


@lru_cache(maxsize=512)
def copy_plan(surface_format: str | None, size_wh: SizeWH) -> CopyPlan | None:
    """Return how to copy surfaces of a pixel format, such as "p010le"; None if they can't be copied."""
    layout = None if surface_format is None else LAYOUTS.get(surface_format)
    if layout is None or layout.gray or layout.gbr or layout.v_first:
        return None
    pixel_format = _FORMATS.get((layout.subsampling_xy, layout.interleaved))
    if pixel_format is None:
        return None
    (wide, high), subsampling_xy = layout.chroma_wh(size_wh), layout.subsampling_xy
    chroma = [(2 * wide, high)] if layout.interleaved else [(wide, high)] * 2
    parts: list[CopiedPart] = []
    size = 0
    for samples, lines in (size_wh, *chroma):
        parts.append(CopiedPart(size, -(-samples // _ALIGN) * _ALIGN, samples, lines))
        size += parts[-1].pitch * lines
    luma = Channel(0, parts[0].pitch, 1, (0, 0))
    first, step = parts[1], 2 if layout.interleaved else 1
    second = first.offset + 1 if layout.interleaved else parts[2].offset
    channels = (luma, *(Channel(at, first.pitch, step, subsampling_xy) for at in (first.offset, second)))
    return CopyPlan(
        size_wh, tuple(parts), channels, size, layout.sample_bytes, layout.sample_scale, pixel_format
    )
