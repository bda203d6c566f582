"""What each head says of each output; the first that fits is the one that recognition returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import SCENE, sample_of

from framelane.models.heads.attempts import Attempt, attempts
from framelane.models.heads.recognize import HEADS, recognize

if TYPE_CHECKING:
    from collections.abc import Callable

LAYOUTS: dict[str, Callable[[], Any]] = {
    "yolov8": lambda: tiny_models.yolov8(SCENE),
    "end2end": lambda: tiny_models.end2end(SCENE),
    "rtdetr": lambda: tiny_models.rtdetr(SCENE),
    "yolov5": lambda: tiny_models.decoded_rows(SCENE, anchors=3),
    "yolox-decoded": lambda: tiny_models.decoded_rows(SCENE),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_first_head_that_fits_is_the_one_that_is_recognized(name: str) -> None:
    sample = sample_of(LAYOUTS[name]())
    tried = attempts(sample)
    assert [attempt.head for attempt in tried] == list(HEADS)
    fitting = [attempt.head for attempt in tried if attempt.outcome == "fits"]
    assert fitting[0] == recognize(sample).name == name


def test_every_output_is_tried() -> None:
    tried = attempts(sample_of(tiny_models.yolov8(SCENE), np.zeros((1, 32, 8, 10), np.float32)))
    assert {attempt.output for attempt in tried} == {"output0", "output1"}
    assert all(attempt.outcome == "shape" for attempt in tried if attempt.output == "output1")


def test_a_shape_that_does_not_fit_names_the_layout_that_would() -> None:
    tried = attempts(sample_of(tiny_models.yolov8(SCENE)))
    assert Attempt("output0", "end2end", "shape", HEADS["end2end"].layout) in tried


def test_values_of_another_layout_and_faults_are_told_apart() -> None:
    logits = tiny_models.yolov8(SCENE)
    logits[:, 4:] -= 5
    by_head = {attempt.head: attempt for attempt in attempts(sample_of(logits))}
    assert by_head["yolov8"].outcome == "fault"
    assert "they look like logits" in by_head["yolov8"].why
    by_head = {attempt.head: attempt for attempt in attempts(sample_of(tiny_models.rtdetr(SCENE)))}
    assert by_head["end2end"] == Attempt("output0", "end2end", "values")


def test_an_output_without_a_row_per_image_fits_no_head() -> None:
    tried = attempts(sample_of(np.repeat(tiny_models.yolov8(SCENE), 2, axis=0)))
    assert {attempt.outcome for attempt in tried} == {"shape"}
