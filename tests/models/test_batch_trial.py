"""Batches in which some pictures get nothing, or another's detections, or can't be run at all."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.batch_models import FIRST_ALONE, FIRST_FOR_ALL, GOOD, SHIFTED, reshaped, save_batches
from tests.models.heads.scenes import LABELS, PERSON, SCENE

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.inference.model import load_model

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from framelane.inference.model import Model


def load(path: Path, **options: Any) -> Model:
    return load_model("tiny", ModelConfig(path=str(path), **{"labels": LABELS, **options}))


def found(model: Model, count: int) -> list[list[float]]:
    """Confidences in that many white pictures, which a runner gets at once."""
    white = [
        av.VideoFrame.from_ndarray(np.full((128, 160), 255, np.uint8), format="gray") for _ in range(count)
    ]
    with closing(model.runner(count)) as runner:
        runner.open()
        detections = runner.detect(white, [model.filter()] * count, [None] * count).detections
    assert white == []
    return [[round(float(score), 2) for score in each.confidence] for each in detections]


@pytest.mark.parametrize("batch", [1, 2, 3, 8, 17])
def test_a_sound_model_runs_the_batch_that_is_asked_for(batch: int, tmp_path: Path) -> None:
    model = load(save_batches(tmp_path / "m.onnx", GOOD, tiny_models.end2end(SCENE)), batch=batch)
    assert (model.batch, model.doubts) == (batch, ())
    assert found(model, batch) == [[0.9, 0.7, 0.6]] * batch


@pytest.mark.parametrize("batch", [2, 4, 16])
@pytest.mark.parametrize(
    "nodes", [FIRST_ALONE, FIRST_FOR_ALL, SHIFTED], ids=["first alone", "first for all", "shifted"]
)
def test_a_model_that_mixes_pictures_up_gets_one_at_a_time(
    nodes: list[onnx.NodeProto], batch: int, tmp_path: Path
) -> None:
    model = load(save_batches(tmp_path / "m.onnx", nodes, tiny_models.end2end(SCENE)), batch=batch)
    assert model.batch == 1
    (doubt,) = model.doubts
    assert doubt == (
        "in a batch of 2 pictures, y [1, 300, 6] holds other detections for a picture than for the same picture "
        "alone, so batches stay at 1; export the model without suppression (NMS) in the graph, or with a dynamic batch"
    )
    assert found(model, batch) == [[0.9, 0.7, 0.6]] * batch


def test_a_runner_for_more_pictures_than_were_tried_tries_them(tmp_path: Path) -> None:
    model = load(save_batches(tmp_path / "m.onnx", FIRST_ALONE, tiny_models.end2end(SCENE)))
    assert (model.batch, model.doubts) == (1, ())
    assert found(model, 4) == [[0.9, 0.7, 0.6]] * 4


def test_a_file_that_fixes_a_batch_of_which_the_first_picture_alone_is_right_gets_one_at_a_time(
    tmp_path: Path,
) -> None:
    path = save_batches(tmp_path / "m.onnx", FIRST_ALONE, tiny_models.end2end(SCENE), batch=4)
    model = load(path)
    assert model.batch == 1
    assert found(model, 3) == [[0.9, 0.7, 0.6]] * 3


def test_batches_of_a_model_that_shows_nothing_stay_at_one(tmp_path: Path) -> None:
    model = load(save_batches(tmp_path / "m.onnx", GOOD, tiny_models.end2end([])), batch=4)
    assert model.batch == 1
    assert model.doubts[-1] == "y [1, 300, 6] holds no detections for any trial picture, so batches stay at 1"


def test_a_batch_that_the_file_fixes_is_kept_if_nothing_speaks_against_it(tmp_path: Path) -> None:
    model = load(save_batches(tmp_path / "m.onnx", GOOD, tiny_models.end2end([]), batch=4))
    assert (model.batch, len(model.doubts)) == (4, 1)


@pytest.mark.parametrize(
    ("dims", "shape"), [([1, 300, -1], [1, 300, 12]), ([1, -1, 6], [1, 600, 6])], ids=["columns", "rows"]
)
def test_fewer_rows_than_pictures_are_refused(dims: list[int], shape: list[int], tmp_path: Path) -> None:
    nodes = reshaped(*dims)
    path = save_batches(tmp_path / "m.onnx", nodes, tiny_models.end2end(SCENE))
    assert found(load(path), 1) == [[0.9, 0.7, 0.6]]
    with pytest.raises(ModelError) as caught:
        load(path, batch=2)
    assert str(caught.value) == (
        f"{path}: y [1, 300, 6] becomes {shape} for 2 pictures, not one row for each; "
        "set `batch: 1`, or export the model with a dynamic batch"
    )


def test_a_batch_that_can_not_be_run_is_refused(tmp_path: Path) -> None:
    path = save_batches(tmp_path / "m.onnx", reshaped(1, 300, 6), tiny_models.end2end([PERSON]))
    with pytest.raises(
        ModelError, match=r"can't run float32 \[2, 3, 128, 160\]: .*; set `batch: 1`, or export"
    ):
        load(path, batch=8)
