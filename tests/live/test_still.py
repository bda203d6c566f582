"""Small images of frames: their size, and what they show of any pixel format."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from framelane.live.still import jpeg, reduced


@pytest.mark.parametrize(
    ("size_wh", "longest", "expected"),
    [
        ((640, 480), 400, (400, 300)),
        ((480, 640), 400, (300, 400)),
        ((320, 240), 400, (320, 240)),
        ((4000, 1), 400, (400, 1)),
    ],
    ids=["wide", "tall", "small", "thin"],
)
def test_frame_is_reduced_to_its_longer_side_and_never_enlarged(
    size_wh: tuple[int, int], longest: int, expected: tuple[int, int]
) -> None:
    frame = reduced(av.VideoFrame(*size_wh, "yuv420p"), longest)
    assert (frame.width, frame.height, frame.format.name) == (*expected, "bgr24")


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv420p10le", "gray", "rgb24"])
def test_still_shows_the_frame_whatever_its_format(pixel_format: str) -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32] = 255
    frame = av.VideoFrame.from_ndarray(pixels, format="bgr24").reformat(format=pixel_format)
    shown = cv2.imdecode(np.frombuffer(jpeg(reduced(frame, 400)), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape == (48, 64, 3)
    assert np.asarray(shown)[:, :28].mean() > 230
    assert np.asarray(shown)[:, 36:].mean() < 25
