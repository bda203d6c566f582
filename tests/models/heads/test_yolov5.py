"""Rows of center, size, objectness and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import (
    SCENE,
    detect,
    load,
    sample_of,
    seen,
    table,
    told,
    wanting,
)

from framelane.models.heads.yolov5 import KIND

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def test_decode_multiplies_objectness_and_the_best_score() -> None:
    rows = table(
        [50, 40, 20, 10, 0.8, 0.5, 0.25],
        [50, 40, 20, 10, 0.8, 0.25, 0.75],
        [50, 40, 20, 10, 0.39, 1, 0],
        [50, 40, 20, 10, 1, 0.39, 0.1],
    )
    head = KIND.make(sample_of(rows), sample_of(rows).outputs[0])
    assert told(head.decode([rows], 0, wanting(0.4, 0.5))) == [
        ([40, 35, 60, 45], 0.4, 0),
        ([40, 35, 60, 45], 0.6, 1),
    ]


def test_decode_goes_by_the_best_class_even_when_only_another_is_wanted() -> None:
    rows = table([50, 40, 20, 10, 1, 0.9, 0.8])
    head = KIND.make(sample_of(rows), sample_of(rows).outputs[0])
    assert told(head.decode([rows], 0, wanting(float("inf"), 0.5))) == []


def test_raw_gives_boxes_objectness_and_scores_and_their_product() -> None:
    rows = table([50, 40, 20, 10, 0.5, 0.25, 0.5])
    raw = KIND.make(sample_of(rows), sample_of(rows).outputs[0]).raw([rows])
    assert raw.boxes is not None
    assert (raw.boxes.tolist(), raw.scores.tolist(), raw.confidence.tolist()) == (
        [[[50, 40, 20, 10]]],
        [[[0.5, 0.25, 0.5]]],
        [[0.25]],
    )


@pytest.mark.parametrize(
    ("rows", "fits", "shows"),
    [
        pytest.param(tiny_models.decoded_rows(SCENE, anchors=3), True, True, id="three per cell"),
        pytest.param(tiny_models.decoded_rows(SCENE, objectness=1), True, True, id="one of objectness 1"),
        pytest.param(tiny_models.decoded_rows(SCENE), True, False, id="one per cell"),
        pytest.param(np.ones((1, 301, 8), np.float32), True, False, id="no grid"),
        pytest.param(tiny_models.yolov8(SCENE), False, False, id="columns"),
        pytest.param(np.ones((1, 420, 5), np.float32), False, True, id="no classes"),
    ],
)
def test_a_yolov5_is_known_by_its_rows_per_cell(rows: Array, *, fits: bool, shows: bool) -> None:
    sample = sample_of(rows)
    assert (fits, shows) == (KIND.fits(sample, sample.outputs[0]), KIND.shows(sample, sample.outputs[0]))


def test_make_counts_the_classes() -> None:
    sample = sample_of(tiny_models.decoded_rows([], classes=80, anchors=3))
    assert KIND.make(sample, sample.outputs[0]).classes == 80


def test_yolov6_is_read_as_yolov5(tmp_path: Path) -> None:
    model = load(tiny_models.save(tmp_path / "m.onnx", [tiny_models.decoded_rows(SCENE, objectness=1)]))
    assert (model.head.name, model.input.color) == ("yolov5", "rgb")
    assert seen(detect(model)[1][0]) == [(0, 0.9), (2, 0.6)]
