"""Rotated boxes that overlap."""

from __future__ import annotations

import math

import numpy as np
import pytest

from framelane.models.heads.rotated_nms import MOST_ROTATED, probabilistic_iou, suppress_rotated


def kept(
    boxes: list[list[float]], scores: list[float], classes: list[int] | None = None, iou: float = 0.45
) -> list[int]:
    class_id = np.array(classes or [0] * len(boxes), np.int32)
    found = suppress_rotated(np.array(boxes, np.float32), np.array(scores, np.float32), class_id, iou, 300)
    indices: list[int] = found.tolist()
    return indices


# Values of Ultralytics 8.4's batch_probiou.
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([50, 50, 40, 20, 0.3], [50, 50, 40, 20, 0.3], 0.99953),
        ([50, 50, 40, 20, 0.3], [54, 51, 38, 22, 0.5], 0.83098),
        ([50, 50, 40, 20, 0.0], [50, 50, 40, 20, math.pi / 2], 0.55279),
        ([50, 50, 40, 20, 0.3], [250, 50, 40, 20, 0.3], 0.0),
    ],
)
def test_probabilistic_iou_is_that_of_the_exporter(
    one: list[float], other: list[float], expected: float
) -> None:
    overlaps = probabilistic_iou(np.array([one, other], np.float32))
    assert overlaps[0, 1] == pytest.approx(expected, abs=1e-4)
    assert overlaps[1, 0] == pytest.approx(overlaps[0, 1])


def test_suppress_rotated_keeps_the_best_of_a_place_and_what_is_turned_away() -> None:
    boxes = [[50, 50, 40, 8, 0.0], [51, 50, 40, 8, 0.05], [50, 50, 40, 8, math.pi / 2]]
    assert kept(boxes, [0.7, 0.9, 0.8]) == [1, 2]


def test_suppress_rotated_leaves_other_classes_alone() -> None:
    boxes = [[50, 50, 40, 20, 0.0]] * 3
    assert kept(boxes, [0.7, 0.9, 0.8], [0, 1, 0]) == [1, 2]


def test_suppress_rotated_drops_what_a_dropped_box_overlaps_as_the_exporter_does() -> None:
    boxes = [[50, 50, 40, 20, 0.0], [62, 50, 40, 20, 0.0], [74, 50, 40, 20, 0.0]]
    overlaps = probabilistic_iou(np.array(boxes, np.float32))
    between = float(overlaps[0, 2] + overlaps[0, 1]) / 2
    assert kept(boxes, [0.9, 0.8, 0.7], iou=between) == [0]


def test_suppress_rotated_returns_at_most_that_many_of_any_number() -> None:
    count = MOST_ROTATED + 10
    boxes = np.column_stack([np.arange(count) * 100.0, *np.tile([[50.0], [40], [20], [0]], count)])
    found = suppress_rotated(
        boxes.astype(np.float32),
        np.linspace(0, 1, count, dtype=np.float32),
        np.zeros(count, np.int32),
        0.5,
        7,
    )
    assert found.tolist() == list(range(count - 1, count - 8, -1))
    assert (
        suppress_rotated(
            np.empty((0, 5), np.float32), np.empty(0, np.float32), np.empty(0, np.int32), 0.5, 7
        ).tolist()
        == []
    )


def test_the_overlap_of_boxes_without_a_width_is_a_number() -> None:
    """Rounding may leave the determinant of such a box below 0."""
    turns = np.linspace(0, 6, 500)
    boxes = np.column_stack([np.tile([[50.0], [50], [0], [90]], 500).T, turns]).astype(np.float32)
    overlaps = [probabilistic_iou(np.stack([box, box]))[0, 1] for box in boxes]
    assert (np.array(overlaps) > 0.99).all()
