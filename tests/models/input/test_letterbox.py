"""Where pictures lie in a model's input, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from framelane.models.input.letterbox import Crop, Letterbox

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.models.input.letterbox import Placement, SizeWH

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
        ((1280, 720), (640, 640), "stretch", (640, 640), (0, 0)),
        ((3, 4000), (640, 384), "stretch", (640, 384), (0, 0)),
    ],
)
def test_fit_rounds_as_the_trainers_do(
    source_wh: SizeWH, target_wh: SizeWH, placement: Placement, new_wh: SizeWH, pad_xy: tuple[int, int]
) -> None:
    box = Letterbox.fit(source_wh, target_wh, placement)
    assert (new_wh, pad_xy) == (box.new_wh, box.pad_xy)


def test_fit_returns_the_same_object_when_a_stream_asks_again() -> None:
    assert Letterbox.fit((640, 480), (416, 416), "center") is Letterbox.fit((640, 480), (416, 416), "center")


@pytest.mark.parametrize("placement", ["center", "topleft", "stretch"])
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


@pytest.mark.parametrize("fractions", [None, [0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]])
def test_crop_is_none_when_all_of_the_picture_is_wanted(fractions: list[float] | None) -> None:
    assert Crop.of(fractions) is None


@pytest.mark.parametrize(
    ("start", "end", "size", "expected"),
    [
        (0.25, 0.75, 1920, (480, 1440)),
        (0.1, 0.3, 1920, (192, 576)),
        (0.3, 0.7, 101, (30, 72)),  # outwards to even numbers
        (0.5, 1, 101, (50, 101)),  # an odd picture's last pixel stays
        (0.5, 0.5001, 640, (320, 322)),
        (0.9999, 1, 640, (638, 640)),
        (0.9999, 1, 641, (640, 641)),
        (0, 0.0001, 1, (0, 1)),
        (0.7, 0.8, 2, (0, 2)),
    ],
)
def test_crop_is_cut_to_whole_chroma_samples(start: float, end: float, size: int, expected: SizeWH) -> None:
    crop = Crop(start, start, end, end)
    assert crop.span_x(size) == expected
    assert crop.span_y(size) == expected


def test_fit_places_the_cropped_part() -> None:
    box = Letterbox.fit((1920, 1080), (640, 640), "center", Crop(0.5, 0.5, 1, 1))
    assert (box.source_wh, box.origin_xy, box.crop_wh) == ((1920, 1080), (960, 540), (960, 540))
    assert (box.new_wh, box.pad_xy) == ((640, 360), (0, 140))


@pytest.mark.parametrize("placement", ["center", "topleft"])
def test_to_source_undoes_to_input_when_the_picture_is_cropped(placement: Placement) -> None:
    box = Letterbox.fit((1921, 1081), (416, 320), placement, Crop(0.2, 0.1, 0.7, 0.95))
    rng = np.random.default_rng(1)
    inside = rng.uniform(0.01, 0.99, (50, 4)) * [*box.crop_wh, *box.crop_wh] + [
        *box.origin_xy,
        *box.origin_xy,
    ]
    xyxy = inside.astype(np.float32)
    np.testing.assert_allclose(box.to_source(box.to_input(xyxy)), xyxy, atol=1e-2)


def test_to_source_clips_to_the_part_that_was_used() -> None:
    box = Letterbox.fit((1920, 1080), (640, 640), "center", Crop(0.5, 0.5, 0.75, 1))
    xyxy = np.array([[-50, -50, 700, 700]], np.float32)
    assert box.to_source(xyxy).tolist() == [[960, 540, 1440, 1080]]


@pytest.mark.parametrize("placement", ["center", "stretch"])
def test_points_to_source_are_the_corners_of_boxes(placement: Placement) -> None:
    box = Letterbox.fit((1280, 720), (640, 640), placement, Crop(0.25, 0.25, 1, 1))
    xyxy = np.array([[10, 200, 60, 300], [-5, -5, 900, 900]], np.float32)
    np.testing.assert_array_equal(
        box.to_source(xyxy).reshape(-1, 2), box.points_to_source(xyxy.reshape(2, 2, 2)).reshape(-1, 2)
    )


def test_points_to_source_may_lie_outside_when_they_are_not_clipped() -> None:
    box = Letterbox.fit((1280, 720), (640, 360), "center")
    assert box.points_to_source(np.array([-5, 400], np.float32), clip=False).tolist() == [-10, 800]
    assert box.points_to_source(np.array([-5, 400], np.float32)).tolist() == [0, 720]
