"""The pixel format of a model's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from framelane.models.input.letterbox import Letterbox

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.models.input.letterbox import Crop, Placement, SizeWH

PixelType = Literal["float32", "float16", "uint8"]
Channels = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The input that a model was trained on: every element is `(pixel * scale - mean) / std`, in NCHW order.

    Attributes:
        width: pixels across.
        height: pixels down.
        color: order of the three channels.
        scale: factor on 8-bit values: 1/255 or 1.
        placement: where the letterboxed image is; or it is stretched.
        pad: 8-bit value of the padding, on all channels.
        dtype: element type of the input tensor.
        mean: what is subtracted from each channel.
        std: what each channel is then divided by.
    """

    width: int
    height: int
    color: Literal["rgb", "bgr"]
    scale: float
    placement: Placement
    pad: int = 114
    dtype: PixelType = "float32"
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)

    @property
    def size_wh(self) -> SizeWH:
        """Width and height in pixels."""
        return self.width, self.height

    @property
    def factors(self) -> NDArray[np.float32]:
        """What 8-bit values of each channel [3] are multiplied by."""
        return np.asarray(self.scale / np.array(self.std), np.float32)

    @property
    def offsets(self) -> NDArray[np.float32]:
        """What is then added to each channel [3]."""
        # The sum turns -0 into 0.
        return np.asarray(-np.array(self.mean) / np.array(self.std) + 0.0, np.float32)

    @property
    def padding(self) -> NDArray[np.generic]:
        """The padding's elements [3], one per channel."""
        values: NDArray[np.generic] = (np.float32(self.pad) * self.factors + self.offsets).astype(self.dtype)
        return values

    def shape(self, batch: int) -> tuple[int, int, int, int]:
        """Return the shape [n, 3, h, w] of a batch."""
        return batch, 3, self.height, self.width

    def batch_bytes(self, batch: int) -> int:
        """Return the size of a batch in bytes."""
        return int(np.prod(self.shape(batch))) * np.dtype(self.dtype).itemsize

    def blank(self, batch: int) -> NDArray[np.generic]:
        """Return a batch [n, 3, h, w] of nothing but padding."""
        images = np.empty(self.shape(batch), self.dtype)
        images[:] = self.padding[:, None, None]
        return images

    def letterbox(self, source_wh: SizeWH, crop: Crop | None = None) -> Letterbox:
        """Return the letterbox of a source image of this size, or of a part of it."""
        return Letterbox.fit(source_wh, self.size_wh, self.placement, crop)
