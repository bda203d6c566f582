"""Where a source picture lies inside a model's input, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Placement = Literal["center", "topleft"]
SizeWH = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture shrunk or grown with its aspect ratio kept, then padded to the model's input.

    Attributes:
        source_wh: size of the source picture in pixels.
        target_wh: size of the model's input in pixels.
        scale: target pixels for one source pixel, before rounding to whole pixels.
        new_wh: size of the resized picture inside the input.
        pad_xy: pixels of padding left of it and above it; the rest of the padding is right and below.
    """

    source_wh: SizeWH
    target_wh: SizeWH
    scale: float
    new_wh: SizeWH
    pad_xy: tuple[int, int]
    _offset: NDArray[np.float32] = field(init=False, repr=False, compare=False)
    _factor: NDArray[np.float32] = field(init=False, repr=False, compare=False)
    _limit: NDArray[np.float32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The resize's own ratio on each axis: rounding to whole pixels makes it differ a little from `scale`.
        ratio = [source / new for source, new in zip(self.source_wh, self.new_wh, strict=True)]
        object.__setattr__(self, "_offset", np.array([*self.pad_xy, *self.pad_xy], np.float32))
        object.__setattr__(self, "_factor", np.array([*ratio, *ratio], np.float32))
        object.__setattr__(self, "_limit", np.array([*self.source_wh, *self.source_wh], np.float32))

    @staticmethod
    @lru_cache(maxsize=1024)
    def fit(source_wh: SizeWH, target_wh: SizeWH, placement: Placement) -> Letterbox:
        """Place a source picture in an input; cached, since every frame of a stream asks the same.

        Rounding is the trainers' own, so that a model sees the pixels it learnt from: "center" rounds as
        Ultralytics' LetterBox does, "topleft" truncates as YOLOX's preproc does.
        """
        scale = min(target_wh[0] / source_wh[0], target_wh[1] / source_wh[1])
        if placement == "topleft":
            new_wh = max(1, int(source_wh[0] * scale)), max(1, int(source_wh[1] * scale))
            return Letterbox(source_wh, target_wh, scale, new_wh, (0, 0))
        new_wh = max(1, round(source_wh[0] * scale)), max(1, round(source_wh[1] * scale))
        # A tenth less than half, so that an odd pixel of padding goes right and below.
        pad_xy = round((target_wh[0] - new_wh[0]) / 2 - 0.1), round((target_wh[1] - new_wh[1]) / 2 - 0.1)
        return Letterbox(source_wh, target_wh, scale, new_wh, pad_xy)

    def to_source(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Corners [N, 4] in input pixels as corners in source pixels, clipped to the source."""
        boxes: NDArray[np.float32] = (xyxy - self._offset) * self._factor
        np.clip(boxes, 0, self._limit, out=boxes)
        return boxes

    def to_input(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Corners [N, 4] in source pixels as corners in input pixels."""
        boxes: NDArray[np.float32] = xyxy / self._factor + self._offset
        return boxes
