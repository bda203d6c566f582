"""Suppression of rotated boxes by the kernels, against the CPU path: the same boxes in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.inference.backends.cuda.both_paths import BothPaths, at_least, head_of

from framelane.inference.backends.cuda import workspace
from framelane.models.heads import nms
from framelane.models.heads.rotated_nms import MOST_ROTATED, probabilistic_iou
from framelane.models.input.letterbox import Letterbox

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tests.gpu.machines import Machine

    Array = NDArray[np.float32]

LARGE = Letterbox.fit((4096, 4096), (4096, 4096), "topleft")
QUARTER = np.pi / 2


def turned(machine: Machine, boxes: Array, scores: Array, iou: float = 0.45, max_det: int = 300) -> BothPaths:
    """Rotated boxes [A, 5] with scores [A, C] in Ultralytics' layout."""
    output = np.concatenate([boxes[:, :4], scores, boxes[:, 4:]], axis=1).T[None].astype(np.float32)
    classes = scores.shape[1]
    head = head_of("yolov8-obb", classes)
    return BothPaths(machine, head, output, [at_least(0.1, classes)], [LARGE], iou, max_det)


def one_class(machine: Machine, boxes: list[list[float]], iou: float = 0.45) -> list[float]:
    """Confidences of what is kept; each box is weaker than the one before."""
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)[:, None]
    found = turned(machine, np.array(boxes, np.float32), scores, iou).check()[0]
    return [int(np.flatnonzero(scores[:, 0] == each)[0]) for each in found.confidence]


def test_the_limits_are_those_of_the_cpu() -> None:
    assert (workspace.MOST_COMPARED, workspace.MOST_ROTATED) == (nms.MOST_COMPARED, MOST_ROTATED)


@pytest.mark.parametrize("turn", [0, np.pi, -np.pi, 3 * np.pi, 0.02, np.pi - 0.02])
def test_a_turn_by_half_a_circle_changes_nothing(machine: Machine, turn: float) -> None:
    assert one_class(machine, [[100, 100, 80, 20, 0.4], [101, 100, 80, 20, 0.4 + turn]]) == [0]


def test_a_quarter_turn_with_exchanged_sides_is_the_same_box(machine: Machine) -> None:
    assert one_class(machine, [[100, 100, 80, 20, 0.4], [100, 100, 20, 80, 0.4 + QUARTER]]) == [0]
    assert one_class(machine, [[100, 100, 80, 20, 0.4], [100, 100, 80, 20, 0.4 + QUARTER]]) == [0, 1]


def test_a_box_that_went_still_removes_weaker_ones(machine: Machine) -> None:
    """Unlike greedy suppression, where the third would stay: only the second overlaps it."""
    row = [[100.0 + 9 * step, 100, 40, 40, 0] for step in range(4)]
    overlaps = probabilistic_iou(np.array(row, np.float32))
    iou = float(overlaps[0, 1] + overlaps[0, 2]) / 2
    assert one_class(machine, row, iou) == [0]


def test_boxes_of_other_classes_stay(machine: Machine) -> None:
    boxes = np.array([[100, 100, 80, 20, 0.4]] * 3, np.float32)
    scores = np.array([[0.9, 0, 0], [0, 0, 0.8], [0, 0, 0.7]], np.float32)
    assert turned(machine, boxes, scores).check()[0].class_id.tolist() == [0, 2]


@pytest.mark.parametrize("near", [-1, 1])
@pytest.mark.parametrize("seed", range(6))
def test_overlaps_decide_as_on_the_cpu_when_close_to_iou(machine: Machine, seed: int, near: int) -> None:
    rng = np.random.default_rng(seed)
    pair = np.array([[200, 200, 60, 30, 0.3], [0, 0, 0, 0, 0]], np.float32)
    pair[1] = pair[0] + rng.normal(0, [6, 6, 5, 5, 0.2])
    iou = float(probabilistic_iou(pair)[0, 1]) + near * 1e-9
    assert one_class(machine, pair.tolist(), iou) == ([0, 1] if near > 0 else [0])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iou", [0.0, 0.2, 0.7, 1.0])
def test_suppresses_as_the_cpu_when_the_picture_is_crowded(machine: Machine, seed: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    objects = rng.uniform([200, 200, 10, 10, -4], [2000, 2000, 300, 90, 4], (20, 5))
    boxes = objects[rng.integers(0, 20, 600)] + rng.normal(0, [5, 5, 3, 3, 0.1], (600, 5))
    scores = rng.beta(0.4, 3, (600, 3))
    if seed % 2:
        scores = np.ceil(scores * 6) / 6
    found = turned(machine, boxes.astype(np.float32), scores.astype(np.float32), iou).check()[0]
    assert len(found) > 3


@pytest.mark.parametrize("scores", ["equal", "rising", "few levels"])
def test_only_the_strongest_are_compared(machine: Machine, scores: str) -> None:
    """All but the last of them cover each other, so that who is still compared shows."""
    count = MOST_ROTATED + 300
    confidence: Array = {
        "equal": np.full(count, 0.5),
        "rising": np.linspace(0.2, 0.9, count),
        "few levels": np.random.default_rng(3).integers(1, 4, count) / 4,
    }[scores].astype(np.float32)
    order = np.argsort(-confidence, kind="stable")
    place = np.stack(np.divmod(np.arange(count), 40), axis=1) * 60 + 60
    boxes = np.concatenate([place, np.full((count, 3), [30, 10, 0.5])], axis=1).astype(np.float32)
    boxes[order[: MOST_ROTATED - 1]] = boxes[order[0]]
    found = turned(machine, boxes, confidence[:, None]).check()[0]
    assert confidence[order[[0, MOST_ROTATED - 1]]].tolist() == found.confidence.tolist()


@pytest.mark.parametrize("max_det", [1, 7])
def test_at_most_max_det_are_kept(machine: Machine, max_det: int) -> None:
    boxes = np.array([[100 * step, 100, 50, 20, step] for step in range(1, 20)], np.float32)
    scores = np.linspace(0.9, 0.2, len(boxes), dtype=np.float32)[:, None]
    found = turned(machine, boxes, scores, max_det=max_det).check()[0]
    assert found.confidence.tolist() == scores[:max_det, 0].tolist()


def test_boxes_without_a_width_are_told_by_their_place(machine: Machine) -> None:
    """The determinant of such a box is 0 but for rounding, which must not decide."""
    thin = [[200, 200, 0, 90, 0.7], [200, 200, 0, 90, 0.7], [200, 201, 0, 90, 0.7], [500, 500, 90, 0, 0.7]]
    found = one_class(machine, thin)
    assert found[0] == 0
    assert 3 in found
    assert 1 not in found


@pytest.mark.parametrize(
    "box", [[200, 200, -50, 30, 0.3], [200, 200, -5, 30, 0.3], [200, 200, 1e-20, 1e-20, 1]]
)
def test_strange_sizes_are_judged_as_on_the_cpu(machine: Machine, box: list[float]) -> None:
    boxes = np.array([box, [600, 600, 40, 20, 1]], np.float32)
    found = turned(machine, boxes, np.full((2, 1), 0.5, np.float32)).check()[0]
    assert len(found) >= 1
