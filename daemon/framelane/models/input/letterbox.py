"""Places a source image, or a part of it, in a model's input, and maps boxes back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Placement = Literal["center", "topleft", "stretch"]
SizeWH = tuple[int, int]

# A crop is cut to whole chroma samples. A plane has at most one per two pixels on a subsampled axis.
_CHROMA = 2
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of a stream's frame that goes to inference, as fractions of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    @staticmethod
    def of(fractions: Sequence[float] | None) -> Crop | None:
        """Return the crop of a stream's configuration; None for the whole frame."""
        if fractions is None or tuple(fractions) == (0, 0, 1, 1):
            return None
        left, top, right, bottom = fractions
        return Crop(left, top, right, bottom)

    def span_x(self, width: int) -> tuple[int, int]:
        """Return the first column and the one after the last."""
        return _span(self.left, self.right, width)

    def span_y(self, height: int) -> tuple[int, int]:
        """Return the first line and the one after the last."""
        return _span(self.top, self.bottom, height)


def _span(start: float, end: float, size: int) -> tuple[int, int]:
    """Extend to even numbers. The last pixel of an odd size has its own chroma sample."""
    first = math.floor(start * size / _CHROMA + _ROUNDING) * _CHROMA
    last = math.ceil(end * size / _CHROMA - _ROUNDING) * _CHROMA
    first = max(min(first, (size - 1) // _CHROMA * _CHROMA), 0)
    return first, min(max(last, first + _CHROMA), size)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """An image scaled with its aspect ratio kept, then padded to the model's input; or stretched to fill it.

    Attributes:
        source_wh: size of the source image in pixels.
        target_wh: size of the model's input in pixels.
        scale: target pixels per source pixel, before rounding to whole pixels; the least of both if stretched.
        new_wh: size of the resized image within the input.
        pad_xy: pixels of padding left of it and above it; the rest of the padding is right and below.
        origin_xy: the source pixel at which the crop begins; even numbers.
        crop_wh: size of the used part of the source; all of it without a crop.
    """

    source_wh: SizeWH
    target_wh: SizeWH
    scale: float
    new_wh: SizeWH
    pad_xy: tuple[int, int]
    origin_xy: tuple[int, int]
    crop_wh: SizeWH
    _offset: NDArray[np.float32] = field(init=False, repr=False, compare=False)
    _factor: NDArray[np.float32] = field(init=False, repr=False, compare=False)
    _origin: NDArray[np.float32] = field(init=False, repr=False, compare=False)
    _limit: NDArray[np.float32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        limit = [start + size for start, size in zip(self.origin_xy, self.crop_wh, strict=True)]
        object.__setattr__(self, "_offset", np.array([*self.pad_xy, *self.pad_xy], np.float32))
        object.__setattr__(self, "_factor", np.array([*self.factor_xy, *self.factor_xy], np.float32))
        object.__setattr__(self, "_origin", np.array([*self.origin_xy, *self.origin_xy], np.float32))
        object.__setattr__(self, "_limit", np.array([*limit, *limit], np.float32))

    @staticmethod
    @lru_cache(maxsize=1024)
    def fit(
        source_wh: SizeWH, target_wh: SizeWH, placement: Placement, crop: Crop | None = None
    ) -> Letterbox:
        """Place a source image in an input.

        The result is cached, because it is the same for every frame of a stream.

        The rounding is that of the training code, so that a model sees the pixels it learned from: "center"
        rounds as Ultralytics' LetterBox does, "topleft" truncates as YOLOX's preproc does.
        """
        columns = (0, source_wh[0]) if crop is None else crop.span_x(source_wh[0])
        lines = (0, source_wh[1]) if crop is None else crop.span_y(source_wh[1])
        origin_xy, crop_wh = (columns[0], lines[0]), (columns[1] - columns[0], lines[1] - lines[0])
        scale = min(target_wh[0] / crop_wh[0], target_wh[1] / crop_wh[1])
        if placement == "stretch":
            return Letterbox(source_wh, target_wh, scale, target_wh, (0, 0), origin_xy, crop_wh)
        if placement == "topleft":
            new_wh = max(1, int(crop_wh[0] * scale)), max(1, int(crop_wh[1] * scale))
            return Letterbox(source_wh, target_wh, scale, new_wh, (0, 0), origin_xy, crop_wh)
        new_wh = max(1, round(crop_wh[0] * scale)), max(1, round(crop_wh[1] * scale))
        # A tenth less than half, so that an odd pixel of padding goes right and below.
        pad_xy = round((target_wh[0] - new_wh[0]) / 2 - 0.1), round((target_wh[1] - new_wh[1]) / 2 - 0.1)
        return Letterbox(source_wh, target_wh, scale, new_wh, pad_xy, origin_xy, crop_wh)

    @property
    def factor_xy(self) -> tuple[float, float]:
        """Source pixels per input pixel.

        Rounding to whole pixels makes it differ slightly from 1 / `scale`.
        """
        return self.crop_wh[0] / self.new_wh[0], self.crop_wh[1] / self.new_wh[1]

    def to_source(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert corners [N, 4] from input pixels to source pixels, clipped to the used part."""
        boxes: NDArray[np.float32] = (xyxy - self._offset) * self._factor + self._origin
        # Not np.clip, which goes through Python: right after inference all code is cold, and each call costs
        # time.
        np.maximum(boxes, self._origin, out=boxes)
        np.minimum(boxes, self._limit, out=boxes)
        return boxes

    def points_to_source(self, xy: NDArray[np.float32], *, clip: bool = True) -> NDArray[np.float32]:
        """Convert points [..., 2] from input pixels to source pixels, by default clipped to the used part."""
        points: NDArray[np.float32] = (xy - self._offset[:2]) * self._factor[:2] + self._origin[:2]
        return np.clip(points, self._origin[:2], self._limit[:2]) if clip else points

    def to_input(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert corners [N, 4] from source pixels to input pixels."""
        boxes: NDArray[np.float32] = (xyxy - self._origin) / self._factor + self._offset
        return boxes
