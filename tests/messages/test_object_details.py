"""Masks, keypoints and rotated boxes in messages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.sinks.examples import ORIGIN, YOLOX, checked, frame, objects

from framelane.core.frames import Detections, Result
from framelane.messages.detections import Encoding, detections_message


def body(found: Detections, encoding: Encoding = "json") -> list[dict[str, object]]:
    made = detections_message(
        ORIGIN, Result(frame(), YOLOX, found, 0, 0), seq=1, dropped=0, total_s=0, encoding=encoding
    )
    told: list[dict[str, object]] = checked(made)["detections"]
    return told


def outlines(*masks: tuple[list[list[float]], ...]) -> np.ndarray:
    column = np.empty(len(masks), np.object_)
    for each, mask in enumerate(masks):
        column[each] = tuple(np.array(outline, np.float32) for outline in mask)
    return column


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_masks_are_whole_pixels_and_an_empty_one_is_left_out(encoding: Encoding) -> None:
    triangle = [[10.4, 20.5, 0][:2], [30.6, 20], [30, 40.2]]
    found = replace(objects(2), masks=outlines((triangle, triangle), ()))
    first, second = body(found, encoding)
    assert first["mask"] == [[10, 20, 31, 20, 30, 40]] * 2
    assert "mask" not in second


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_keypoints_are_rounded_and_what_overflowed_has_no_confidence(encoding: Encoding) -> None:
    points = np.array([[[10.04, 20.16, 0.98768], [np.nan, 4, 0.5], [np.inf, 4, 0.5]]], np.float32)
    (told,) = body(replace(objects(1), keypoints=points), encoding)
    assert told["keypoints"] == [[10.0, 20.2, 0.9877], [0, 0, 0], [0, 0, 0]]


def test_rotated_boxes_have_an_angle_and_four_corners() -> None:
    corners = np.array([[[10.04, -3.26], [1, 2], [3, 4], [5, 6]]], np.float32)
    found = replace(objects(1), corners=corners, angle=np.array([-np.pi / 2], np.float32))
    (told,) = body(found)
    assert told["angle"] == -1.5708
    assert told["corners"] == [[10.0, -3.3], [1, 2], [3, 4], [5, 6]]


def test_objects_without_details_say_nothing_of_them() -> None:
    assert body(objects(1))[0].keys() == {"label", "class_id", "confidence", "box", "box_norm"}


def test_details_stay_with_their_objects_when_some_are_left_out() -> None:
    found = replace(objects(3), keypoints=np.linspace(0, 0.8, 9, dtype=np.float32).reshape(3, 1, 3))
    found.confidence[1] = np.nan
    assert [each["keypoints"] for each in body(found)] == [[[0.0, 0.1, 0.2]], [[0.6, 0.7, 0.8]]]
