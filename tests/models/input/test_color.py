"""YUV to RGB against the published code values of 75 % color bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from framelane.models.input.color import yuv_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNSPECIFIED, BT709, BT601, BT2020 = 2, 1, 6, 9
RGB_75 = [
    (191, 191, 191),
    (191, 191, 0),
    (0, 191, 191),
    (0, 191, 0),
    (191, 0, 191),
    (191, 0, 0),
    (0, 0, 191),
    (0, 0, 0),
]
# White, yellow, cyan, green, magenta, red, blue, black: Y, Cb, Cr in limited range (ITU-R BT.801, EBU Tech 3325).
BARS_601 = [
    (180, 128, 128),
    (162, 44, 142),
    (131, 156, 44),
    (112, 72, 58),
    (84, 184, 198),
    (65, 100, 212),
    (35, 212, 114),
    (16, 128, 128),
]
BARS_709 = [
    (180, 128, 128),
    (168, 44, 136),
    (145, 147, 44),
    (133, 63, 52),
    (63, 193, 204),
    (51, 109, 212),
    (28, 212, 120),
    (16, 128, 128),
]
# JFIF: full range, BT.601.
JFIF_FULL = {
    (255, 255, 255): (255, 128, 128),
    (255, 0, 0): (76, 85, 255),
    (0, 255, 0): (150, 44, 21),
    (0, 0, 255): (29, 255, 107),
}


def convert(yuv: list[tuple[int, int, int]], matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    rgb: NDArray[np.float64] = np.column_stack([np.array(yuv), np.ones(len(yuv))]) @ matrix.T
    return rgb


@pytest.mark.parametrize(
    ("colorspace", "height", "bars"),
    [
        (BT601, 480, BARS_601),
        (5, 1080, BARS_601),
        (BT709, 480, BARS_709),
        (UNSPECIFIED, 576, BARS_601),
        (UNSPECIFIED, 720, BARS_709),
        (0, 480, BARS_601),
    ],
)
def test_matrix_gives_the_known_bars(colorspace: int, height: int, bars: list[tuple[int, int, int]]) -> None:
    matrix = yuv_matrix(colorspace, height, full_range=False, order="rgb")
    np.testing.assert_allclose(convert(bars, matrix), RGB_75, atol=2.5)


def test_matrix_gives_jpegs_colors_when_the_range_is_full() -> None:
    matrix = yuv_matrix(BT601, 480, full_range=True, order="rgb")
    np.testing.assert_allclose(convert(list(JFIF_FULL.values()), matrix), list(JFIF_FULL), atol=2)


@pytest.mark.parametrize("colorspace", [1, 4, 5, 6, 7, 9, 10])
@pytest.mark.parametrize("full_range", [False, True])
def test_matrix_keeps_gray_gray(colorspace: int, full_range: bool) -> None:  # noqa: FBT001
    matrix = yuv_matrix(colorspace, 480, full_range=full_range, order="rgb")
    black, white = (0, 255) if full_range else (16, 235)
    grays = convert([(black, 128, 128), (white, 128, 128)], matrix)
    np.testing.assert_allclose(grays, [[0] * 3, [255] * 3], atol=0.01)


def test_matrix_turns_the_channels_round_when_the_model_wants_bgr() -> None:
    rgb = yuv_matrix(BT709, 480, full_range=False, order="rgb")
    np.testing.assert_array_equal(yuv_matrix(BT709, 480, full_range=False, order="bgr"), rgb[::-1])
