"""YOLO-NAS: corners and scores of every cell in two outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import SCENE, detect, load, refusal, sample_of, seen

from framelane.models.heads.recognize import recognize

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def outputs(classes: int = 3) -> list[Array]:
    rows = tiny_models.labelled(SCENE)
    scores = np.full((1, rows.shape[1], classes), 0.001, np.float32)
    for number, box in enumerate(SCENE):
        scores[0, 5 * number, box.class_id] = box.score
    return [rows[..., :4], scores]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("classes", [3, 4, 80])
def test_boxes_and_scores_are_read_together(classes: int, tmp_path: Path, *, swapped: bool) -> None:
    arrays = outputs(classes)[::-1] if swapped else outputs(classes)
    path = tiny_models.save(tmp_path / "m.onnx", arrays)
    model = load(path, labels=[str(each) for each in range(classes)])
    assert (model.head.name, model.head.classes) == ("yolo-nas", classes)
    letterbox, (found,) = detect(model)
    assert seen(found) == [(0, 0.9), (2, 0.6)]
    expected = letterbox.to_source(np.array([SCENE[1].xyxy], np.float32))
    np.testing.assert_allclose(found.xyxy[:1], expected, atol=0.05)


def test_centers_and_sizes_are_still_refused(tmp_path: Path) -> None:
    boxes, scores = outputs()
    centers = np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=2)
    assert "boxes and scores are separate outputs" in refusal(tmp_path, [centers, scores])


def test_logits_beside_boxes_are_refused(tmp_path: Path) -> None:
    boxes, scores = outputs()
    assert "boxes and scores are separate outputs" in refusal(tmp_path, [boxes, scores - 5])


def test_a_complete_output_beside_boxes_is_read_alone() -> None:
    boxes, _ = outputs()
    assert recognize(sample_of(boxes, tiny_models.yolov8(SCENE))).name == "yolov8"
