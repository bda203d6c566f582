from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from framelane.core.frames import Detections


def found(*boxes: tuple[float, float, float, float], track: bool = False) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.arange(count, dtype=np.int32),
        np.arange(count, dtype=np.int64) + 70 if track else None,
    )


BOXES = [(0, 0, 10, 10), (5, 5, 5, 9), (1, 1, 2, 2)]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_length_is_the_number_of_objects(count: int) -> None:
    assert count == len(found(*BOXES[:count]))


@pytest.mark.parametrize(
    ("keep", "classes"),
    [
        (np.array([True, False, True]), [0, 2]),
        (np.array([2, 0]), [2, 0]),
        (np.zeros(3, bool), []),
        (np.array([], np.intp), []),
    ],
)
@pytest.mark.parametrize("track", [False, True])
def test_select_takes_the_same_rows_of_all_columns(keep: Any, classes: list[int], *, track: bool) -> None:
    chosen = found(*BOXES, track=track).select(keep)
    assert classes == chosen.class_id.tolist()
    assert chosen.xyxy.tolist() == [list(BOXES[each]) for each in classes]
    assert chosen.confidence.tolist() == pytest.approx([0.9 - 0.2 * each for each in classes])
    tracks = None if chosen.track_id is None else chosen.track_id.tolist()
    assert tracks == ([70 + each for each in classes] if track else None)


def test_select_takes_the_same_rows_of_all_details() -> None:
    outlines = np.empty(3, np.object_)
    for each in range(3):
        outlines[each] = (np.full((3, 2), each, np.float32),) * each
    detailed = replace(
        found(*BOXES),
        masks=outlines,
        keypoints=np.arange(18, dtype=np.float32).reshape(3, 2, 3),
        corners=np.arange(24, dtype=np.float32).reshape(3, 4, 2),
        angle=np.array([0.1, 0.2, 0.3], np.float32),
    )
    chosen = detailed.select(np.array([2, 1]))
    assert chosen.masks is not None
    assert chosen.keypoints is not None
    assert chosen.corners is not None
    assert chosen.angle is not None
    assert [len(each) for each in chosen.masks] == [2, 1]
    assert chosen.keypoints[:, 0, 0].tolist() == [12, 6]
    assert chosen.corners[:, 0, 0].tolist() == [16, 8]
    assert chosen.angle.tolist() == pytest.approx([0.3, 0.2])


@pytest.mark.parametrize(
    ("box", "stays"),
    [
        ((0, 0, 1, 1), True),
        ((0, 0, 0, 1), False),
        ((0, 0, 1, 0), False),
        ((3, 3, 2, 4), False),
        ((3, 3, 4, 2), False),
        ((-2, -2, -1, -1), True),
        ((0, 0, float("nan"), 1), False),
    ],
)
def test_with_area_removes_boxes_without(box: tuple[float, float, float, float], *, stays: bool) -> None:
    kept = found((0, 0, 5, 5), box, (1, 1, 9, 9), track=True).with_area()
    assert kept.class_id.tolist() == ([0, 1, 2] if stays else [0, 2])


def test_with_area_copies_nothing_when_all_boxes_have_one() -> None:
    whole, empty = found((0, 0, 5, 5)), found()
    assert (whole.with_area(), empty.with_area()) == (whole, empty)
