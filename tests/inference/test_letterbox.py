"""Where pictures lie in a model's input, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from framelane.inference.letterbox import Letterbox

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.inference.letterbox import Placement, SizeWH

    Array = NDArray[np.float32]


@pytest.mark.parametrize(
    ("source_wh", "target_wh", "placement", "new_wh", "pad_xy"),
    [
        ((1280, 720), (640, 640), "center", (640, 360), (0, 140)),
        ((720, 1280), (640, 640), "center", (360, 640), (140, 0)),
        ((640, 480), (416, 416), "topleft", (416, 312), (0, 0)),
        ((640, 427), (416, 416), "topleft", (416, 277), (0, 0)),  # 277.55 truncated
        ((640, 427), (416, 416), "center", (416, 278), (0, 69)),  # 277.55 rounded
        ((1000, 563), (640, 640), "center", (640, 360), (0, 140)),
        ((768, 576), (640, 641), "center", (640, 480), (0, 80)),  # the odd pixel goes below
        ((320, 240), (640, 640), "center", (640, 480), (0, 80)),
        ((4000, 3), (640, 640), "topleft", (640, 1), (0, 0)),
    ],
)
def test_fit_rounds_as_the_trainers_do(
    source_wh: SizeWH, target_wh: SizeWH, placement: Placement, new_wh: SizeWH, pad_xy: tuple[int, int]
) -> None:
    box = Letterbox.fit(source_wh, target_wh, placement)
    assert (new_wh, pad_xy) == (box.new_wh, box.pad_xy)


def test_fit_returns_the_same_object_when_a_stream_asks_again() -> None:
    assert Letterbox.fit((640, 480), (416, 416), "center") is Letterbox.fit((640, 480), (416, 416), "center")


@pytest.mark.parametrize("placement", ["center", "topleft"])
@pytest.mark.parametrize("source_wh", [(1920, 1080), (641, 479), (333, 777), (64, 64)])
def test_to_source_undoes_to_input(source_wh: SizeWH, placement: Placement) -> None:
    box = Letterbox.fit(source_wh, (416, 320), placement)
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 0.5, (50, 2)) * source_wh
    high = low + rng.uniform(0, 0.5, (50, 2)) * source_wh
    xyxy = np.concatenate([low, high], axis=1).astype(np.float32)
    np.testing.assert_allclose(box.to_source(box.to_input(xyxy)), xyxy, atol=1e-2)


def test_to_source_clips_when_boxes_reach_into_the_padding() -> None:
    box = Letterbox.fit((1280, 720), (640, 640), "center")
    xyxy = np.array([[-5, 100, 650, 600]], np.float32)
    assert box.to_source(xyxy).tolist() == [[0, 0, 1280, 720]]


def test_to_source_takes_no_boxes() -> None:
    box = Letterbox.fit((1280, 720), (640, 640), "center")
    assert box.to_source(np.zeros((0, 4), np.float32)).shape == (0, 4)
