"""Reads parts of decoded frames, in host memory or on the GPU: their sharpness, and copies of a region."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, NamedTuple, Protocol

import av
import cv2
import numpy as np

from framelane.core.errors import FramelaneError
from framelane.models.input.pixel_formats import LAYOUTS, YUV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

Pixels = av.VideoFrame | Future[av.VideoFrame]
"""A frame or a part of it, in host memory or on its way there."""

_FETCH_S = 5.0
"""Most seconds to wait for pixels from the GPU; they usually take a millisecond."""

_SIDE = 64
"""Longer side in pixels at which sharpness is measured, so that it does not depend on the object's size."""
_HALF_SHARP = 60.0
"""Variance of the Laplacian at which the sharpness is one half."""


class Region(NamedTuple):
    """A rectangle of a frame in whole pixels: left, top, right, bottom; the last two are outside."""

    left: int
    top: int
    right: int
    bottom: int


class Fetched(Protocol):
    """Parts of a frame on their way from the GPU."""

    @property
    def whole(self) -> Future[av.VideoFrame] | None:
        """The whole frame, reduced; None if it is not wanted."""
        ...

    @property
    def crops(self) -> Sequence[Future[av.VideoFrame]]:
        """The regions, in their own size."""
        ...

    @property
    def whole_bytes(self) -> int:
        """Size of the whole frame."""
        ...


class FrameOnGpu(Protocol):
    """A copy of a frame that stayed on the GPU; its memory is free again with the last reference."""

    def sharpness(self, region: Region, /) -> float | None:
        """Return how sharp an object's region is, from 0 to 1; None if that is not known."""
        ...

    def fetch(self, regions: Sequence[Region], longest: int, /) -> Fetched:
        """Bring regions to the host, and the frame with at most `longest` pixels on its longer side, unless 0."""
        ...


def ready(pixels: Pixels) -> av.VideoFrame:
    """Return pixels that may still be on their way.

    Raises:
        ValueError: they don't come.
    """
    if isinstance(pixels, av.VideoFrame):
        return pixels
    try:
        return pixels.result(_FETCH_S)
    except (FramelaneError, FutureTimeoutError) as error:
        raise ValueError(f"the GPU has not handed the pixels over: {str(error) or 'no answer'}") from error


def region_of(xyxy: tuple[float, float, float, float], size_wh: tuple[int, int], margin: float) -> Region:
    """Return the region of a box with a margin, within a frame: whole pixels, at least one."""
    left, top, right, bottom = xyxy
    wide, high = (right - left) * margin, (bottom - top) * margin
    left, right = _span(left - wide, right + wide, size_wh[0])
    top, bottom = _span(top - high, bottom + high, size_wh[1])
    return Region(left, top, right, bottom)


def sharpness(picture: av.VideoFrame, region: Region) -> float:
    """Return how sharp a region is, from 0 to 1; 1 for pixel formats without a plane of 8-bit luma."""
    layout = LAYOUTS.get(picture.format.name)
    if layout is None or layout.gbr or layout.sample_bytes > 1:
        return 1.0
    part = _bytes_of(picture.planes[0])[region.top : region.bottom, region.left : region.right]
    share = min(_SIDE / max(part.shape), 1.0)
    size_wh = max(round(part.shape[1] * share), 1), max(round(part.shape[0] * share), 1)
    small = cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA)
    variance = float(cv2.Laplacian(small, cv2.CV_16S).var())
    return variance / (variance + _HALF_SHARP)


def cut(picture: av.VideoFrame, region: Region) -> av.VideoFrame:
    """Return a copy of a region of a frame in host memory, in the frame's own pixel format if possible."""
    if picture.format.name not in LAYOUTS:
        picture = picture.reformat(format=YUV)
    layout = LAYOUTS[picture.format.name]
    width, height = region.right - region.left, region.bottom - region.top
    copy = av.VideoFrame(width, height, picture.format.name)
    copy.colorspace, copy.color_range = picture.colorspace, picture.color_range
    for number, (source, target) in enumerate(zip(picture.planes, copy.planes, strict=True)):
        across, down = layout.subsampling_xy if number else (0, 0)
        unit = layout.sample_bytes * (2 if layout.interleaved and number else 1)
        # From an odd pixel on, color is half a pixel off, which nobody sees.
        size = -(-height >> down), -(-width >> across) * unit
        line, begin = region.top >> down, (region.left >> across) * unit
        rows = _bytes_of(source)[line : line + size[0], begin : begin + size[1]]
        _bytes_of(target)[: size[0], : size[1]] = rows
    return copy


def _span(begin: float, end: float, size: int) -> tuple[int, int]:
    first = min(max(round(begin), 0), size - 1)
    return first, min(max(round(end), first + 1), size)


def _bytes_of(plane: VideoPlane) -> NDArray[np.uint8]:
    """Return the bytes of a plane [lines, bytes per line], without copying them."""
    flat = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload] # a plane is a buffer
    lines: NDArray[np.uint8] = flat.reshape(-1, plane.line_size)
    return lines
