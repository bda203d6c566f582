"""The table of pixel formats, compared with FFmpeg's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from framelane.models.input.color import yuv_matrix
from framelane.models.input.pixel_formats import GBR, LAYOUTS, NEUTRAL, YUV, Layout, color_matrix

if TYPE_CHECKING:
    from framelane.models.input.letterbox import SizeWH

# A second name of gray, which PyAV doesn't know.
FORMATS = sorted(LAYOUTS.keys() - {"gray8"})


@pytest.mark.parametrize("name", FORMATS)
def test_layout_is_ffmpegs(name: str) -> None:
    layout, known = LAYOUTS[name], av.VideoFormat(name, 64, 64)
    size_wh = known.chroma_width(64), known.chroma_height(64)
    assert layout.gray is (len(known.components) == 1)
    assert layout.gbr is known.is_rgb
    assert layout.sample_bytes == (2 if known.components[0].bits > 8 else 1)
    if not layout.gray and not layout.gbr:
        assert size_wh == layout.chroma_wh((64, 64))
    assert layout.interleaved is (name.startswith(("nv", "p0", "p2")))
    assert not known.is_big_endian


@pytest.mark.parametrize("name", [name for name in FORMATS if LAYOUTS[name].sample_bytes == 2])
def test_scale_takes_the_brightest_sample_to_eight_bits(name: str) -> None:
    layout, bits = LAYOUTS[name], av.VideoFormat(name, 64, 64).components[0].bits
    # Interleaved formats have their bits at the upper end of 16.
    most = (1 << bits) - 1 << (16 - bits if layout.interleaved else 0)
    assert 255 <= most * layout.sample_scale < 256


@pytest.mark.parametrize(
    ("layout", "size_wh", "expected"),
    [
        (Layout((1, 1)), (640, 480), (320, 240)),
        (Layout((1, 1)), (641, 481), (321, 241)),
        (Layout((1, 1)), (1, 1), (1, 1)),
        (Layout((1, 0)), (641, 481), (321, 481)),
        (Layout(), (641, 481), (641, 481)),
        (Layout(gray=True), (641, 481), (1, 1)),
    ],
)
def test_chroma_has_a_sample_for_the_last_pixel_of_an_odd_size(
    layout: Layout, size_wh: SizeWH, expected: SizeWH
) -> None:
    assert expected == layout.chroma_wh(size_wh)


def picture(color_range: int = ColorRange.MPEG, colorspace: int = 1, height: int = 480) -> av.VideoFrame:
    frame = av.VideoFrame(64, height, YUV)
    frame.color_range, frame.colorspace = color_range, colorspace
    return frame


@pytest.mark.parametrize(
    ("name", "color_range", "full_range"),
    [
        ("yuv420p", ColorRange.MPEG, False),
        ("yuv420p", ColorRange.UNSPECIFIED, False),
        ("yuv420p", ColorRange.JPEG, True),
        ("yuvj420p", ColorRange.MPEG, True),
        ("yuvj444p", ColorRange.UNSPECIFIED, True),
    ],
)
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_color_matrix_takes_range_and_space_from_the_picture(
    name: str, color_range: int, order: Any, *, full_range: bool
) -> None:
    found = color_matrix(picture(color_range, 9), name, order)
    np.testing.assert_array_equal(found, yuv_matrix(9, 480, full_range=full_range, order=order))


@pytest.mark.parametrize(("order", "expected"), [("rgb", [30, 10, 20]), ("bgr", [20, 10, 30])])
def test_color_matrix_only_sorts_the_planes_of_gbr(order: Any, expected: list[int]) -> None:
    assert expected == (color_matrix(picture(), GBR, order) @ [10, 20, 30, 1]).tolist()


@pytest.mark.parametrize("full_range", [False, True])
def test_a_neutral_chroma_sample_is_gray(*, full_range: bool) -> None:
    color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    red, green, blue = color_matrix(picture(color_range), YUV, "rgb") @ [100, NEUTRAL, NEUTRAL, 1]
    assert (red, blue) == (pytest.approx(green, abs=1e-3), pytest.approx(green, abs=1e-3))
