"""Suppression, against a plain reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from framelane.models.heads.nms import MOST_COMPARED, suppress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def overlap(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return width * height / (area - width * height)


def reference(xyxy: Array, confidence: Array, class_id: NDArray[np.int32], iou: float) -> list[int]:
    boxes = xyxy.astype(float).tolist()
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda row: -confidence[row]):
        rivals = (other for other in kept if class_id[other] == class_id[index])
        if all(overlap(boxes[other], boxes[index]) <= iou for other in rivals):
            kept.append(index)
    return kept


def crowd(
    rng: np.random.Generator, count: int, objects: int, levels: int | None = None
) -> tuple[Array, Array, NDArray[np.int32]]:
    """Boxes around a few objects; `levels` makes confidences tie."""
    which = rng.integers(0, objects, count)
    centre = rng.uniform(20, 600, (objects, 2))[which] + rng.normal(0, 5, (count, 2))
    size = rng.uniform(20, 150, (objects, 2))[which] * rng.uniform(0.8, 1.2, (count, 2))
    xyxy = np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32)
    confidence = rng.uniform(0.01, 1, count)
    if levels:
        confidence = np.ceil(confidence * levels) / levels
    return xyxy, confidence.astype(np.float32), rng.integers(0, 3, count).astype(np.int32)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("count", "objects", "levels"), [(12, 3, None), (80, 9, 4), (600, 40, None), (500, 20, 10)]
)
def test_suppress_equals_the_reference(seed: int, count: int, objects: int, levels: int | None) -> None:
    boxes = crowd(np.random.default_rng(seed), count, objects, levels)
    assert reference(*boxes, 0.45) == suppress(*boxes, 0.45, count).tolist()


def test_suppress_keeps_order_of_arrival_when_confidences_tie() -> None:
    xyxy = np.array([[0, 0, 9, 9], [50, 50, 60, 60], [0, 0, 9, 9]], np.float32)
    kept = suppress(xyxy, np.full(3, 0.5, np.float32), np.zeros(3, np.int32), 0.45, 300)
    assert kept.tolist() == [0, 1]


def test_suppress_keeps_overlapping_boxes_of_different_classes() -> None:
    xyxy = np.tile(np.array([[0, 0, 9, 9]], np.float32), (2, 1))
    kept = suppress(xyxy, np.array([0.5, 0.9], np.float32), np.array([0, 1], np.int32), 0.45, 300)
    assert kept.tolist() == [1, 0]


@pytest.mark.parametrize("count", [0, 1])
def test_suppress_takes_too_few_boxes_to_compare(count: int) -> None:
    kept = suppress(
        np.zeros((count, 4), np.float32), np.zeros(count, np.float32), np.zeros(count, np.int32), 0.4, 9
    )
    assert list(range(count)) == kept.tolist()


def test_suppress_returns_the_best_when_there_are_more_than_most() -> None:
    boxes = crowd(np.random.default_rng(0), 400, 60)
    assert reference(*boxes, 0.6)[:7] == suppress(*boxes, 0.6, 7).tolist()


def test_suppress_drops_the_weakest_when_there_are_too_many_to_compare() -> None:
    count = MOST_COMPARED + 50
    corner = np.arange(count, dtype=np.float32)[:, None] * 20
    xyxy = np.concatenate([corner, corner, corner + 10, corner + 10], axis=1)
    confidence = np.linspace(0.1, 0.9, count, dtype=np.float32)
    kept = suppress(xyxy, confidence, np.zeros(count, np.int32), 0.45, count)
    assert list(range(count - 1, 49, -1)) == kept.tolist()


def test_suppress_keeps_boxes_of_different_classes_beside_the_image() -> None:
    """OpenCV puts classes side by side: boxes with negative corners must not meet those of other classes."""
    xyxy, confidence, class_id = crowd(np.random.default_rng(1), 300, 60)
    xyxy -= np.float32(300)
    kept = suppress(xyxy, confidence, class_id, 0.45, 300)
    assert reference(xyxy, confidence, class_id, 0.45) == kept.tolist()
