"""Models for masks, points and rotated boxes, from an ONNX file to detections, with and without notes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import (
    CAR_IN_FRONT,
    FAINT_BICYCLE,
    PERSON,
    detect,
    load,
    refusal,
    sample_of,
    seen,
)
from tests.models.tiny_models import Box

from framelane.core.errors import ModelError
from framelane.models.heads.recognize import recognize

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

BOXES = [PERSON, CAR_IN_FRONT]
# All of the box; its part in the picture's left half.
WEIGHTS = [[1.0, 0, 0.5, -0.5], [0.1, 1.5, 0, 0]]
POINTS = [[30, 40, 0.75, 50, 60, 0.25], [35, 45, 0.5, 55, 65, 1.0]]
TURNS = [[0.3], [-0.4]]
# For rotated boxes the rows' first values are center and size.
TURNED = [Box((40, 60, 30, 10), 0, 0.9), Box((100, 80, 50, 20), 2, 0.6)]
NOTES = {
    "seg": {"task": "segment"},
    "pose": {"task": "pose", "kpt_shape": "[2, 3]"},
    "obb": {"task": "obb"},
}
EXTRAS = {"seg": WEIGHTS, "pose": POINTS, "obb": TURNS}


def outputs_of(head: str) -> list[Array]:
    layout, task = head.rsplit("-", 1)
    make = tiny_models.more_columns if layout == "yolov8" else tiny_models.more_rows
    rows = make(TURNED if head == "end2end-obb" else BOXES, EXTRAS[task])
    return [rows, tiny_models.prototypes()] if task == "seg" else [rows]


HEADS = [f"{layout}-{task}" for layout in ("yolov8", "end2end") for task in NOTES]


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("head", HEADS)
def test_a_task_is_recognized_by_the_notes_and_by_the_outputs(
    head: str, tmp_path: Path, *, noted: bool
) -> None:
    metadata = NOTES[head.rsplit("-", 1)[1]] if noted else {}
    path = tiny_models.save(tmp_path / "m.onnx", outputs_of(head), metadata=metadata)
    model = load(path)
    assert head == model.head.name
    assert seen(detect(model)[1][0]) == [(0, 0.9), (2, 0.6)]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["yolov8", "end2end"])
def test_masks_are_sums_of_prototypes_within_the_box(layout: str, dtype: str, tmp_path: Path) -> None:
    path = tiny_models.save(
        tmp_path / "m.onnx", outputs_of(f"{layout}-seg"), dtype=dtype, metadata=NOTES["seg"]
    )
    letterbox, (found, _) = detect(load(path), batch=2)
    assert found.masks is not None
    for mask, box in zip(found.masks, BOXES, strict=True):
        x1, y1, x2, y2 = box.xyxy
        (outline,) = mask
        corners = np.array([[x1 + 0.5, y1 + 0.5], [x2 - 0.5, y2 - 0.5]], np.float32)
        expected = letterbox.points_to_source(corners)
        np.testing.assert_allclose([outline.min(axis=0), outline.max(axis=0)], expected, atol=0.1)


@pytest.mark.parametrize("layout", ["yolov8", "end2end"])
def test_points_are_in_source_pixels(layout: str, tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", outputs_of(f"{layout}-pose"), metadata=NOTES["pose"])
    letterbox, (found,) = detect(load(path))
    expected = np.array(POINTS, np.float32).reshape(2, 2, 3)
    expected[..., :2] = letterbox.points_to_source(expected[..., :2])
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints, expected, atol=0.01)


def test_points_may_have_no_confidence(tmp_path: Path) -> None:
    output = tiny_models.more_columns(BOXES, [[30.0, 40, 50, 60], [35, 45, 55, 65]])
    for metadata in ({"task": "pose", "kpt_shape": "[2, 2]"}, {}):
        path = tiny_models.save(tmp_path / "m.onnx", [output], metadata=metadata)
        (found,) = detect(load(path))[1]
        assert found.keypoints is not None
        assert found.keypoints[..., 2].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("layout", ["yolov8", "end2end"])
def test_rotated_boxes_have_corners_and_an_enclosing_box(layout: str, tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", outputs_of(f"{layout}-obb"), metadata=NOTES["obb"])
    letterbox, (found,) = detect(load(path))
    assert found.corners is not None
    assert found.angle is not None
    assert found.angle.tolist() == pytest.approx([0.3, -0.4], abs=1e-3)
    center, (width, height) = (40, 60), (40, 60) if layout == "yolov8" else (30, 10)
    cos, sin = math.cos(0.3), math.sin(0.3)
    first = center[0] + (width * cos - height * sin) / 2, center[1] + (width * sin + height * cos) / 2
    expected = letterbox.points_to_source(np.array(first, np.float32))
    np.testing.assert_allclose(found.corners[0, 0], expected, atol=0.05)
    np.testing.assert_allclose(found.xyxy[:, :2], found.corners.min(axis=1).clip(0), atol=0.05)


def test_rotated_boxes_are_suppressed_as_such(tmp_path: Path) -> None:
    """The same place, turned by a quarter: upright boxes around them overlap."""
    crossed = [Box((10, 50, 90, 58), 0, 0.9), Box((10, 50, 90, 58), 0, 0.8), Box((11, 50, 91, 58), 0, 0.7)]
    output = tiny_models.more_columns(crossed, [[0.0], [math.pi / 2], [0.01]])
    path = tiny_models.save(tmp_path / "m.onnx", [output], metadata=NOTES["obb"])
    assert seen(detect(load(path))[1][0]) == [(0, 0.9), (0, 0.8)]


@pytest.mark.parametrize("classes", [1, 2, 3, 80, 294])
@pytest.mark.parametrize("task", ["seg", "pose", "obb"])
def test_any_number_of_classes_is_counted_from_the_notes_or_the_values(task: str, classes: int) -> None:
    boxes = [Box((20, 30, 60, 90), classes - 1, 0.9), Box((21, 30, 62, 90), 0, 0.6)]
    output = tiny_models.more_columns(boxes, EXTRAS[task], classes)
    outputs = [output, tiny_models.prototypes()] if task == "seg" else [output]
    for metadata in (NOTES[task], {}):
        head = recognize(sample_of(*outputs, names=classes, metadata=metadata))
        assert (head.name, head.classes) == (f"yolov8-{task}", classes)


@pytest.mark.parametrize("names", [None, 80])
def test_points_are_told_from_scores_without_names(names: int | None) -> None:
    head = recognize(sample_of(tiny_models.more_columns(BOXES, POINTS), names=names))
    assert (head.name, head.classes) == ("yolov8-pose", 3)


def test_a_detector_with_feature_maps_beside_is_still_a_detector() -> None:
    output = tiny_models.yolov8([*BOXES, FAINT_BICYCLE], classes=7)
    assert recognize(sample_of(output, tiny_models.prototypes(), names=7)).name == "yolov8"


def test_a_detector_of_two_classes_without_any_score_is_not_taken_for_rotated_boxes() -> None:
    output = tiny_models.decoded_rows([], classes=2, anchors=3)
    assert recognize(sample_of(output, names=2)).name == "yolov5"


@pytest.mark.parametrize("setting", HEADS)
def test_a_configured_head_is_taken_if_the_shape_fits(setting: str) -> None:
    outputs = outputs_of(setting)
    assert recognize(sample_of(*outputs), setting).name == setting


@pytest.mark.parametrize(
    ("outputs", "task", "says"),
    [
        ([tiny_models.more_columns(BOXES, WEIGHTS)], "segment", "yolov8-seg [N, 4+classes+M, anchors] with"),
        ([tiny_models.end2end(BOXES)], "pose", "fits no head that Framelane knows for the task `pose`"),
        ([tiny_models.end2end(BOXES)], "obb", "end2end-obb [N, K, 7], cx cy w h score class angle"),
    ],
)
def test_outputs_of_another_task_than_noted_are_refused(
    outputs: list[Array], task: str, says: str, tmp_path: Path
) -> None:
    message = refusal(tmp_path, outputs, {"task": task})
    assert message.startswith("FILE gives output0 ")
    assert says in message


def test_half_precision_noise_around_scores_is_no_weight() -> None:
    output: Any = tiny_models.yolov8(BOXES, classes=7)
    output[0, 10, 3] = -0.004
    assert recognize(sample_of(output, tiny_models.prototypes(), names=7)).name == "yolov8"


@pytest.mark.parametrize("beyond", [1.6, 12.0])
def test_weights_of_masks_without_their_prototypes_are_no_points(beyond: float) -> None:
    """As when a graph is cut after the wrong node; an even number of weights could be x and y."""
    weights: Any = np.random.default_rng(1).uniform(-beyond, beyond, (1, 420, 32))
    columns = np.concatenate([tiny_models.yolov8(BOXES), weights.swapaxes(1, 2)], axis=1).astype(np.float32)
    with pytest.raises(ModelError, match="like what segmentation and pose models add"):
        recognize(sample_of(columns))


def test_an_empty_task_is_none() -> None:
    assert recognize(sample_of(tiny_models.yolov8(BOXES), metadata={"task": ""})).name == "yolov8"
