"""Pixel formats that are read as they are: where their samples lie, and how these become 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import ColorRange

from framelane.inference.colour import yuv_matrix

if TYPE_CHECKING:
    from typing import Literal

    import av
    from numpy.typing import NDArray

    from framelane.inference.letterbox import SizeWH


@dataclass(frozen=True, slots=True)
class Layout:
    """How a pixel format keeps its samples.

    Attributes:
        subsampling_xy: pixels for one chroma sample across and down, as powers of two: (1, 1) is 4:2:0.
        interleaved: whether U and V take turns in one plane.
        v_first: whether V comes before U there.
        sample_bytes: bytes of a sample.
        sample_scale: factor from a sample of two bytes to the 8-bit scale.
        grey: whether there is no chroma.
        gbr: whether the planes are G, B and R.
    """

    subsampling_xy: tuple[int, int] = (0, 0)
    interleaved: bool = False
    v_first: bool = False
    sample_bytes: int = 1
    sample_scale: float = 1.0
    grey: bool = False
    gbr: bool = False

    def chroma_wh(self, size_wh: SizeWH) -> SizeWH:
        """Size of a chroma plane: an odd picture's last pixels have a sample of their own."""
        if self.grey:
            return 1, 1
        across, down = self.subsampling_xy
        return -(-size_wh[0] >> across), -(-size_wh[1] >> down)


_420, _422, _444 = (1, 1), (1, 0), (0, 0)
# Every other format (packed, palette, RGB, big endian) goes through swscale first, to one of the last two.
LAYOUTS = {
    "yuv420p": Layout(_420),
    "yuv422p": Layout(_422),
    "yuvj420p": Layout(_420),
    "yuvj422p": Layout(_422),
    "yuvj444p": Layout(_444),
    "gray": Layout(grey=True),
    "gray8": Layout(grey=True),
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

NEUTRAL = 128  # a chroma sample of grey
_FROM_GBR = {
    "rgb": np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]], np.float32),
    "bgr": np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]], np.float32),
}


def colour_matrix(picture: av.VideoFrame, name: str, order: Literal["rgb", "bgr"]) -> NDArray[np.float32]:
    """The map [3, 4] from a picture's 8-bit samples to the model's channels; `name` is its pixel format."""
    if LAYOUTS[name].gbr:
        return _FROM_GBR[order]
    full_range = picture.color_range == ColorRange.JPEG or name.startswith("yuvj")
    return yuv_matrix(picture.colorspace, picture.height, full_range=full_range, order=order)
