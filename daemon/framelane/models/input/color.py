"""Matrices from YUV, the format of decoders, to RGB."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Luma weights of red and blue by AVColorSpace (libavutil/pixfmt.h, ITU-T H.273 table 4).
_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.470BG, that is BT.601 625 lines
    6: (0.299, 0.114),  # SMPTE 170M, that is BT.601 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020 non-constant luminance
    10: (0.2627, 0.0593),  # BT.2020 constant luminance, near enough
}
_BT709, _BT601 = 1, 6
_HD_LINES = 720


@lru_cache(maxsize=64)
def yuv_matrix(
    colorspace: int, height: int, *, full_range: bool, order: Literal["rgb", "bgr"]
) -> NDArray[np.float32]:
    """Return the affine map [3, 4] from 8-bit Y, U, V to 8-bit R, G, B or B, G, R (ITU-T H.273 section 8.3).

    A stream that declares no color space is treated as players treat it: BT.709 from 720 lines up, else
    BT.601.
    """
    if colorspace not in _WEIGHTS:
        colorspace = _BT709 if height >= _HD_LINES else _BT601
    red, blue = _WEIGHTS[colorspace]
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    rgb = np.array(
        [
            [luma, 0, 2 * (1 - red) * chroma],
            [luma, -2 * blue * (1 - blue) / green * chroma, -2 * red * (1 - red) / green * chroma],
            [luma, 2 * (1 - blue) * chroma, 0],
        ]
    )
    offset = -rgb @ np.array([black, 128.0, 128.0])
    matrix = np.column_stack([rgb, offset]).astype(np.float32)
    return np.ascontiguousarray(matrix if order == "rgb" else matrix[::-1])
