"""Final boxes, scores and labels in outputs of their own, with and without the images' sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import (
    SCENE,
    SEEN_UNSUPPRESSED,
    UNSUPPRESSED,
    detect,
    load,
    refusal,
    sample_of,
    seen,
)

from framelane.models.heads.recognize import recognize

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def lists(count: int | None = None) -> list[Array]:
    """Boxes, scores and labels, with their number first."""
    rows = tiny_models.end2end(SCENE)
    found = [rows[..., :4], rows[..., 4], rows[..., 5]]
    return found if count is None else [np.full((1, 1), count, np.float32), *found]


@pytest.mark.parametrize("side_type", ["int64", "int32"])
@pytest.mark.parametrize("batch", [1, "batch"])
def test_detr_gets_the_sizes_and_gives_boxes_in_source_pixels(
    batch: Any, side_type: str, tmp_path: Path
) -> None:
    path = tiny_models.save_detr(tmp_path / "m.onnx", SCENE, batch=batch, side_type=side_type)
    model = load(path)
    assert (model.head.name, model.input.placement, model.doubts) == ("detr", "stretch", ())
    letterbox, batches = detect(model, batch=3)
    for found in batches:
        assert seen(found) == SEEN_UNSUPPRESSED
        corners = np.array([box.xyxy for box in UNSUPPRESSED], np.float32)
        np.testing.assert_allclose(found.xyxy, letterbox.to_source(corners), atol=0.05)


def test_detr_stretches_images_of_any_shape(tmp_path: Path) -> None:
    model = load(tiny_models.save_detr(tmp_path / "m.onnx", SCENE))
    assert model.input.letterbox((1280, 720)).new_wh == tiny_models.SIZE_WH


@pytest.mark.parametrize("count", [0, 2, 4])
def test_nms_reads_as_many_objects_as_are_counted(count: int, tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", lists(count))
    model = load(path)
    assert (model.head.name, model.input.placement) == ("nms", "center")
    assert seen(detect(model)[1][0]) == SEEN_UNSUPPRESSED[:count]
    confidence = model.head.raw(lists(count)).confidence
    assert (confidence > 0).sum() == count


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_scores_and_labels_are_told_apart_by_their_values(order: tuple[int, ...]) -> None:
    outputs = [lists()[each] for each in order]
    head: Any = recognize(sample_of(*outputs))
    assert (head.name, head.output, head.scores, head.labels) == (
        "detr",
        order.index(0),
        order.index(1),
        order.index(2),
    )


def test_scores_and_labels_of_nothing_are_told_apart_by_their_names(tmp_path: Path) -> None:
    empty = [
        np.zeros((1, 300, 4), np.float32),
        np.zeros((1, 300), np.float32),
        np.zeros((1, 300), np.float32),
    ]
    path = tiny_models.save(tmp_path / "m.onnx", empty, names=["boxes", "scores", "labels"])
    head: Any = load(path).head
    assert (head.name, head.scores, head.labels) == ("detr", 1, 2)


def test_classes_beyond_the_labels_are_ignored(tmp_path: Path) -> None:
    model = load(tiny_models.save_detr(tmp_path / "m.onnx", SCENE), labels=["person"])
    assert seen(detect(model)[1][0]) == SEEN_UNSUPPRESSED[:2]


def test_boxes_in_parts_of_the_picture_are_refused(tmp_path: Path) -> None:
    boxes, scores, labels = lists()
    message = refusal(tmp_path, [boxes / np.float32(160), scores, labels])
    assert "holds boxes within 0..1, but the head `detr` reads pixels of a 160x128 picture" in message


def test_lists_without_labels_are_still_refused(tmp_path: Path) -> None:
    boxes, scores, _ = lists()
    assert "boxes and scores are separate outputs" in refusal(tmp_path, [boxes, scores])
