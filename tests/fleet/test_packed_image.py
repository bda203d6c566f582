"""An uploaded image is the same in a worker process: pixels, format and color."""

from __future__ import annotations

import pickle

import av
import cv2
import numpy as np
import pytest

from framelane.fleet.packed_image import PackedImage
from framelane.web.image import decode_picture

PIXELS = cv2.resize(np.random.default_rng(5).integers(0, 255, (12, 16, 3), np.uint8), (322, 258))


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("size", [(1, 1), (17, 3), (322, 258)])
def test_packed_image_is_the_image(kind: str, size: tuple[int, int]) -> None:
    data = cv2.imencode(f".{kind}", cv2.resize(PIXELS, size))[1].tobytes()
    image = decode_picture(data, {"jpg": "image/jpeg"}.get(kind, f"image/{kind}"), 10**6)
    back = PackedImage.of(image).unpack()
    assert (back.format.name, back.width, back.height) == (image.format.name, image.width, image.height)
    assert (back.colorspace, back.color_range) == (image.colorspace, image.color_range)
    for mine, theirs in zip(back.planes, image.planes, strict=True):
        used = mine.width * (3 if image.format.name in {"rgb24", "bgr24"} else 1)
        rows = [np.frombuffer(bytes(each), np.uint8).reshape(-1, each.line_size) for each in (mine, theirs)]
        assert (rows[0][: mine.height, :used] == rows[1][: mine.height, :used]).all()


def test_what_is_sent_is_small_and_plain() -> None:
    """It goes through a pipe, and its padding with it: no more than FFmpeg's own."""
    image = av.VideoFrame(322, 258, "yuv420p")
    packed = PackedImage.of(image)
    assert len(pickle.dumps(packed)) < 2 * 322 * 258
    assert pickle.loads(pickle.dumps(packed)) == packed


def test_color_is_that_of_the_image_and_not_of_its_format() -> None:
    image = av.VideoFrame(16, 16, "yuv420p")
    image.colorspace, image.color_range = 1, 2
    back = PackedImage.of(image).unpack()
    assert (int(back.colorspace), int(back.color_range)) == (1, 2)
