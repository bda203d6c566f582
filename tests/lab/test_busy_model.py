"""Models that get objects: segmentation and RF-DETR; detectors are in test_smoke.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import detect, load

from framelane.core.errors import ModelError
from lab.busy_model import add_objects

if TYPE_CHECKING:
    from pathlib import Path

CLASSES, WEIGHTS, SIDE = 3, 4, 160
# Anchors of the finest stride, 8, and what yolov8 has in all.
GRID, ANCHORS = 20, 525


def test_objects_of_a_segmentation_model_fill_their_boxes(tmp_path: Path) -> None:
    columns = np.full((1, 4 + CLASSES + WEIGHTS, ANCHORS), 0.001, np.float32)
    rows, places = np.divmod(np.arange(ANCHORS), GRID)
    # The anchors of an object agree on its place.
    center = places // 4 * 32 + 16, (rows - 2) // 4 * 32 + 32
    columns[0, :4] = [*center, np.full(ANCHORS, 30), np.full(ANCHORS, 40)]
    columns[0, -WEIGHTS:] = np.random.default_rng(1).normal(0, 0.2, (WEIGHTS, ANCHORS))
    prototypes = (
        np.random.default_rng(2).normal(0, 0.2, (1, WEIGHTS, SIDE // 4, SIDE // 4)).astype(np.float32)
    )
    plain = tiny_models.save(
        tmp_path / "plain.onnx",
        [columns, prototypes],
        shape=["batch", 3, SIDE, SIDE],
        metadata={"task": "segment"},
    )
    add_objects(plain, tmp_path / "busy.onnx", objects=2)

    (found,) = detect(load(tmp_path / "busy.onnx"))[1]

    assert found.class_id.tolist() == [0, 2]
    assert found.masks is not None
    for (outline,), xyxy in zip(found.masks, found.xyxy, strict=True):
        size = np.ptp(outline, axis=0) / (xyxy[2:] - xyxy[:2])
        assert ((size > 0.8) & (size <= 1)).all()
        # An ellipse, not a rectangle.
        assert len(outline) > 8


@pytest.mark.parametrize(("columns", "labels"), [(4, ["person", "bicycle", "car"]), (91, "coco")])
def test_queries_of_rf_detr_become_persons_and_cars(
    columns: int, labels: str | list[str], tmp_path: Path
) -> None:
    boxes = np.random.default_rng(0).uniform(0.3, 0.6, (1, 40, 4)).astype(np.float32)
    logits = np.full((1, 40, columns), -4.6, np.float32)
    plain = tiny_models.save(tmp_path / "plain.onnx", [boxes, logits], names=["dets", "labels"])
    add_objects(plain, tmp_path / "busy.onnx", objects=4)

    model = load(tmp_path / "busy.onnx", labels=labels)
    (found,) = detect(model)[1]

    assert [model.info.labels[each] for each in found.class_id] == ["person", "car"] * 2
    assert (found.confidence > 0.7).all()


def test_other_layouts_are_refused_with_their_shapes(tmp_path: Path) -> None:
    plain = tiny_models.save(tmp_path / "plain.onnx", [tiny_models.end2end([])])
    with pytest.raises(ModelError, match=r"neither RF-DETR nor a model .* \[\(1, 300, 6\)\]"):
        add_objects(plain, tmp_path / "busy.onnx")
