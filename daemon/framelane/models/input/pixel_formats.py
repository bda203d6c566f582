"""Pixel formats that are read directly: where their samples are, and how they become 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import ColorRange

from framelane.models.input.color import yuv_matrix

if TYPE_CHECKING:
    from typing import Literal

    import av
    from numpy.typing import NDArray

    from framelane.models.input.letterbox import SizeWH


@dataclass(frozen=True, slots=True)
class Layout:
    """How a pixel format stores its samples.

    Attributes:
        subsampling_xy: pixels per chroma sample across and down, as powers of two: (1, 1) is 4:2:0.
        interleaved: whether U and V alternate in one plane.
        v_first: whether V comes before U there.
        sample_bytes: bytes per sample.
        sample_scale: factor from a sample of two bytes to the 8-bit scale.
        gray: whether there is no chroma.
        gbr: whether the planes are G, B and R.
    """

    subsampling_xy: tuple[int, int] = (0, 0)
    interleaved: bool = False
    v_first: bool = False
    sample_bytes: int = 1
    sample_scale: float = 1.0
    gray: bool = False
    gbr: bool = False

    def chroma_wh(self, size_wh: SizeWH) -> SizeWH:
        """Return the size of a chroma plane. The last pixels of an odd size have their own sample."""
        if self.gray:
            return 1, 1
        across, down = self.subsampling_xy
        return -(-size_wh[0] >> across), -(-size_wh[1] >> down)


_420, _422, _444 = (1, 1), (1, 0), (0, 0)
# All other formats (packed, palette, RGB, big endian) first go through swscale, to one of the last two.
LAYOUTS = {
    "yuv420p": Layout(_420),
    "yuv422p": Layout(_422),
    "yuvj420p": Layout(_420),
    "yuvj422p": Layout(_422),
    "yuvj444p": Layout(_444),
    "gray": Layout(gray=True),
    "gray8": Layout(gray=True),
    "nv12": Layout(_420, interleaved=True),
    "nv21": Layout(_420, interleaved=True, v_first=True),
    "nv16": Layout(_422, interleaved=True),
    "p010le": Layout(_420, interleaved=True, sample_bytes=2, sample_scale=1 / 256),
    "p012le": Layout(_420, interleaved=True, sample_bytes=2, sample_scale=1 / 256),
    "p016le": Layout(_420, interleaved=True, sample_bytes=2, sample_scale=1 / 256),
    "p210le": Layout(_422, interleaved=True, sample_bytes=2, sample_scale=1 / 256),
    "yuv420p10le": Layout(_420, sample_bytes=2, sample_scale=1 / 4),
    "yuv422p10le": Layout(_422, sample_bytes=2, sample_scale=1 / 4),
    "yuv444p10le": Layout(_444, sample_bytes=2, sample_scale=1 / 4),
    "yuv420p12le": Layout(_420, sample_bytes=2, sample_scale=1 / 16),
    "yuv444p16le": Layout(_444, sample_bytes=2, sample_scale=1 / 256),
    "yuv444p": Layout(_444),
    "gbrp": Layout(_444, gbr=True),
}
YUV, GBR = "yuv444p", "gbrp"

# A chroma sample of gray.
NEUTRAL = 128
_FROM_GBR = {
    "rgb": np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]], np.float32),
    "bgr": np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]], np.float32),
}


def color_matrix(picture: av.VideoFrame, name: str, order: Literal["rgb", "bgr"]) -> NDArray[np.float32]:
    """Return the map [3, 4] from 8-bit samples to the model's channels; `name` is the pixel format."""
    if LAYOUTS[name].gbr:
        return _FROM_GBR[order]
    full_range = picture.color_range == ColorRange.JPEG or name.startswith("yuvj")
    return yuv_matrix(picture.colorspace, picture.height, full_range=full_range, order=order)
