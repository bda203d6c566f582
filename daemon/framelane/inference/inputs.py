"""How a model wants its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from framelane.inference.letterbox import Letterbox

if TYPE_CHECKING:
    from framelane.inference.letterbox import Crop, Placement, SizeWH

PixelType = Literal["float32", "float16", "uint8"]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The picture a model was trained on: every element is `pixel * scale`, in NCHW order.

    Attributes:
        width: pixels across.
        height: pixels down.
        colour: order of the three channels.
        scale: factor on 8-bit values: 1/255 or 1.
        placement: where the letterboxed picture lies.
        pad: 8-bit value of the padding, on all channels.
        dtype: element type of the input tensor.
    """

    width: int
    height: int
    colour: Literal["rgb", "bgr"]
    scale: float
    placement: Placement
    pad: int = 114
    dtype: PixelType = "float32"

    @property
    def size_wh(self) -> SizeWH:
        """Width and height in pixels."""
        return self.width, self.height

    def shape(self, batch: int) -> tuple[int, int, int, int]:
        """Shape [n, 3, h, w] of a batch."""
        return batch, 3, self.height, self.width

    def letterbox(self, source_wh: SizeWH, crop: Crop | None = None) -> Letterbox:
        """How a source picture of this size, or a part of it, lies in the input."""
        return Letterbox.fit(source_wh, self.size_wh, self.placement, crop)
