from __future__ import annotations

import numpy as np
import pytest
from tests.footage.pictures import picture

from framelane.footage.pixels import Region, cut, region_of, sharpness

BOX = (41.0, 31.0, 122.0, 152.0)
FORMATS = ["yuv420p", "yuvj420p", "nv12", "yuv422p", "yuv444p", "gray", "yuv420p10le", "p010le", "rgb24"]


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ((10.4, 10.6, 20.4, 30.6), 0.0, (10, 11, 20, 31)),
        ((10, 10, 20, 30), 0.5, (5, 0, 25, 40)),
        ((-5, -5, 400, 300), 0.0, (0, 0, 320, 240)),
        ((319.8, 239.8, 320, 240), 0.0, (319, 239, 320, 240)),
        ((50, 50, 50, 50), 0.0, (50, 50, 51, 51)),
        ((500, 500, 600, 600), 0.0, (319, 239, 320, 240)),
    ],
)
def test_region_is_within_the_frame_and_never_empty(
    box: tuple[float, float, float, float], margin: float, expected: tuple[int, int, int, int]
) -> None:
    assert region_of(box, (320, 240), margin) == expected


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize(
    "region", [Region(40, 30, 122, 152), Region(41, 31, 122, 152), Region(0, 0, 320, 240)]
)
def test_cut_shows_the_same_pixels_as_the_frame(pixel_format: str, region: Region) -> None:
    whole = picture(boxes=[BOX], pixel_format=pixel_format)
    part = cut(whole, region)
    left, top, right, bottom = region
    assert (part.width, part.height) == (right - left, bottom - top)
    expected = whole.to_ndarray(format="gray")[top:bottom, left:right].astype(int)
    assert np.abs(part.to_ndarray(format="gray").astype(int) - expected).max() <= 3
    color = whole.to_ndarray(format="bgr24")[top:bottom, left:right].astype(int)
    # From an odd pixel on, chroma is off by half a pixel, which a checkered box shows most.
    assert np.abs(part.to_ndarray(format="bgr24").astype(int) - color).mean() <= (3 if left % 2 == 0 else 14)


def test_copy_does_not_change_with_the_frame() -> None:
    whole = picture(100)
    part = cut(whole, Region(0, 0, 8, 8))
    np.asarray(memoryview(whole.planes[0]))[:] = 200
    assert part.to_ndarray(format="gray").max() < 130


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "gray"])
def test_sharpness_tells_detail_from_a_plain_area(pixel_format: str) -> None:
    shown = picture(boxes=[BOX], pixel_format=pixel_format)
    sharp, plain = sharpness(shown, Region(41, 31, 122, 152)), sharpness(shown, Region(150, 30, 230, 150))
    assert 0.9 < sharp < 1
    assert plain < 0.01


def test_sharpness_of_other_pixel_formats_does_not_count() -> None:
    assert sharpness(picture(pixel_format="rgb24"), Region(0, 0, 9, 9)) == 1.0
    assert sharpness(picture(pixel_format="p010le"), Region(0, 0, 9, 9)) == 1.0
