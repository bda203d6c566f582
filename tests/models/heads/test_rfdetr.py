"""RF-DETR: boxes and logits in two outputs, and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    seen,
)
from tests.models.tiny_models import SIZE_WH, Box

from framelane.core.errors import ModelError
from framelane.models.catalog.catalog import read_catalogs
from framelane.models.heads.rfdetr import COCO_IDS
from framelane.models.labels import COCO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

NAMES = ["dets", "labels", "masks"]


def outputs(boxes: Sequence[Box], columns: int = 4, *, masks: bool = False) -> list[Array]:
    """Queries of which those of the boxes see something; masks cover the picture's left half."""
    dets = np.full((1, 100, 4), 0.5, np.float32)
    logits = np.full((1, 100, columns), -7, np.float32)
    for number, box in enumerate(boxes):
        dets[0, 3 * number] = np.divide(box.cxcywh, SIZE_WH * 2)
        logits[0, 3 * number, box.class_id] = np.log(box.score / (1 - box.score))
    maps = np.full((1, 100, 32, 40), -1, np.float32)
    maps[0, 3:, :, :20] = 1
    return [dets, logits, maps] if masks else [dets, logits]


def save(path: Path, arrays: list[Array]) -> Path:
    return tiny_models.save(path / "m.onnx", arrays, names=NAMES[: len(arrays)])


def test_logits_become_scores_and_fractions_become_pixels(tmp_path: Path) -> None:
    model = load(save(tmp_path, outputs(SCENE)))
    assert (model.head.name, model.head.classes) == ("rf-detr", 3)
    letterbox, (found, _) = detect(model, batch=2)
    assert seen(found) == SEEN_UNSUPPRESSED
    corners = np.array([box.xyxy for box in UNSUPPRESSED], np.float32)
    np.testing.assert_allclose(found.xyxy, letterbox.to_source(corners), atol=0.05)


def test_images_are_stretched_and_normalized(tmp_path: Path) -> None:
    spec = load(save(tmp_path, outputs(SCENE))).input
    assert (spec.placement, spec.color, spec.mean, spec.std) == (
        "stretch", "rgb", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225),
    )  # fmt: skip


def test_masks_are_those_of_the_query(tmp_path: Path) -> None:
    model = load(save(tmp_path, outputs(SCENE, masks=True)))
    assert model.head.name == "rf-detr-seg"
    letterbox, (found,) = detect(model)
    assert found.masks is not None
    # The weaker person is the scene's first object, and the first query sees no mask.
    assert [len(mask) for mask in found.masks] == [1, 0, 1]
    right = letterbox.points_to_source(np.array([79.5, 127.5], np.float32))
    np.testing.assert_allclose(found.masks[0][0].max(axis=0), right, atol=0.1)


@pytest.mark.parametrize(("columns", "labels"), [(4, 3), (3, 3), (2, 1), (295, 294)])
def test_the_last_column_stands_for_no_object_unless_it_has_a_name(
    columns: int, labels: int, tmp_path: Path
) -> None:
    scene = [Box((20, 30, 60, 90), labels - 1, 0.9)]
    path = save(tmp_path, outputs(scene, columns))
    model = load(path, labels=[str(each) for each in range(labels)])
    assert model.head.classes == labels
    assert seen(detect(model)[1][0]) == [(labels - 1, 0.9)]


@pytest.mark.parametrize("labels", ["auto", "coco"])
def test_cocos_categories_are_told_by_their_names(labels: str, tmp_path: Path) -> None:
    assert (len(COCO_IDS), COCO_IDS[COCO.index("dog")], COCO_IDS[COCO.index("toothbrush")]) == (80, 18, 90)
    model = load(save(tmp_path, outputs([Box((20, 30, 60, 90), 18, 0.9)], 91)), labels=labels)
    (found,) = detect(model)[1]
    assert [model.info.labels[each] for each in found.class_id] == ["dog"]


def test_labels_that_do_not_fit_are_refused_with_the_number_that_would(tmp_path: Path) -> None:
    path = save(tmp_path, outputs(SCENE, 6))
    with pytest.raises(
        ModelError, match=r"has 5 classes, but the list in `labels` names 3; set .* of 5 names"
    ):
        load(path)


def test_the_same_shapes_under_other_names_are_not_guessed(tmp_path: Path) -> None:
    """Other families' logits need other images."""
    refused = refusal(tmp_path, outputs(SCENE))
    assert "boxes and scores are separate outputs" in refused
    assert "; if it is RF-DETR, set `head: rf-detr`" in refused
    model = load(tmp_path / "m.onnx", head="rf-detr")
    assert seen(detect(model)[1][0]) == SEEN_UNSUPPRESSED


@pytest.mark.parametrize(("name", "columns"), [("d-fine-n", 80), ("d-fine-s", 80), ("rf-detr-nano", 91)])
def test_exports_of_transformers_are_read_by_the_settings_of_the_catalog(
    name: str, columns: int, tmp_path: Path
) -> None:
    """They give `logits` and `pred_boxes`, and leave the size open."""
    dog = COCO.index("dog")
    boxes, logits = outputs([Box((20, 30, 60, 90), COCO_IDS[dog] if columns > 80 else dog, 0.9)], columns)
    path = tiny_models.save(
        tmp_path / "m.onnx",
        [logits, boxes],
        names=["logits", "pred_boxes"],
        shape=["batch", 3, "height", "width"],
    )
    settings = read_catalogs([], {})[name].settings
    model = load(path, **settings)
    letterbox, (found,) = detect(model)
    assert [model.info.labels[each] for each in found.class_id] == ["dog"]
    np.testing.assert_allclose(found.confidence, [0.9], atol=0.001)
    share = np.array([20, 30, 60, 90], np.float32) / (SIZE_WH * 2) * (model.input.size_wh * 2)
    np.testing.assert_allclose(found.xyxy, letterbox.to_source(share[None].astype(np.float32)), atol=0.2)
    normalized = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    plain = (0, 0, 0), (1, 1, 1)
    assert (model.input.mean, model.input.std) == (plain if columns == 80 else normalized)
    assert model.input.placement == "stretch"
