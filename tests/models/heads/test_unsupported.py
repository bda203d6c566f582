"""Layouts that are recognized and not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import (
    SCENE,
    sample_of,
)

from framelane.core.errors import ModelError
from framelane.models.heads.recognize import recognize
from framelane.models.heads.unsupported import misfit, transposed, unread
from framelane.models.heads.yolov8 import KIND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


@pytest.mark.parametrize(
    "outputs",
    [
        [tiny_models.yolov8(SCENE)],
        [tiny_models.decoded_rows(SCENE, anchors=3)],
        [tiny_models.end2end(SCENE)],
        [tiny_models.rtdetr(SCENE)],
        [np.zeros((1, 6, 420), np.float32)],
        [np.zeros((1, 6, 300), np.float32)],
    ],
    ids=["yolov8", "yolov5", "end2end", "rtdetr", "two classes per cell", "six of nothing"],
)
def test_unread_is_silent_about_layouts_that_are_read(outputs: list[Array]) -> None:
    assert unread(sample_of(*outputs)) is None


def test_unread_is_silent_about_boxes_beside_a_complete_output() -> None:
    boxes = np.full((1, 420, 4), 20, np.float32)
    assert unread(sample_of(boxes, tiny_models.yolov8(SCENE))) is None
    assert unread(sample_of(boxes, tiny_models.yolov8(SCENE), names=None)) is not None


@pytest.mark.parametrize("names", [None, 3])
def test_transposed_is_silent_when_classes_agree_or_names_are_unknown(names: int | None) -> None:
    sample = sample_of(tiny_models.yolov8(SCENE), names=names)
    assert transposed(sample, KIND.make(sample, sample.outputs[0])) is None


def test_misfit_knows_an_output_of_nothing_but_nan() -> None:
    sample = sample_of(np.full((1, 99, 99), np.nan, np.float32))
    assert misfit(sample, sample.outputs) == (
        "output0 [1, 99, 99] holds nothing but NaN (not a number); export the model again, in float32"
    )


def test_misfit_says_nothing_of_a_layout_that_it_does_not_know() -> None:
    sample = sample_of(np.full((1, 2000, 9), 5, np.float32), np.zeros((1, 0, 6), np.float32))
    assert misfit(sample, sample.outputs) is None


def apart(boxes: Sequence[int], scores: Sequence[int]) -> list[Array]:
    return [np.full(boxes, 20, np.float32), np.full(scores, 0.01, np.float32)]


def six(*columns: float) -> Array:
    """Rows [1, 300, 6] around these values."""
    rows = np.tile(np.array(columns, np.float32), (1, 300, 1))
    rows[..., :4] *= np.linspace(0.5, 1, 300)[:, None]
    return rows


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (apart([1, 420, 4], [1, 420, 3]), "boxes and scores are separate outputs"),
        (apart([1, 420, 4], [1, 420, 80]), "boxes and scores are separate outputs"),
        (apart([1, 4, 420], [1, 3, 420]), "boxes and scores are separate outputs"),
        (apart([1, 420, 1, 4], [1, 420, 3]), "boxes and scores are separate outputs"),
        (apart([1, 100, 4], [1, 100]), "boxes and scores are separate outputs"),
        ([tiny_models.yolov8(SCENE).swapaxes(1, 2)], "looks transposed: for 3 class names it should be [N, 4+3, 420]"),
        (
            [tiny_models.decoded_rows(SCENE, anchors=3).swapaxes(1, 2)],
            "looks transposed: for 3 class names it should be [N, 1260, 5+3]",
        ),
        ([tiny_models.end2end(SCENE).swapaxes(1, 2)], "looks transposed: the head `end2end` reads [N, 300, 6]"),
        ([six(0.2, 0.3, 0.6, 0.9, 0.7, 2)], "corners within 0..1"),
        ([six(80, 60, 20, 30, 0.7, 2)], "centers and sizes in pixels"),
        ([six(0.5, 0.5, 0.2, 0.3, 0.7, 0.1)], "looks like RT-DETR with center and size within 0..1 and 2 class scores"),
        ([np.full((1, 300, 8), 0.25, np.float32)], "looks like RT-DETR with center and size within 0..1 and 4 class"),
        ([np.full((1, 300, 7), 25, np.float32)], "lists class and score of boxes in 7 columns"),
        (
            [np.full((1, 300, 5), 25, np.float32), np.ones((1, 300), np.float32)],
            "output0 [1, 300, 5] holds boxes with their scores, and output1 [1, 300] their classes, as MMDeploy",
        ),
        (
            [np.full((9, 4), 25, np.float32), np.ones(9, np.float32), np.full(9, 0.5, np.float32)],
            "output0 [9, 4] holds the boxes of a single image, as torchvision exports them",
        ),
        ([np.array(3, np.float32)], "gives output0 [] for a 160x128 picture, which fits no head"),
        ([np.full((1, 7), 25, np.float32)], "if its 7 columns are the scores of as many classes"),
        ([np.zeros((1, 3, 16, 20, 8), np.float32)] * 3, "is a grid whose boxes are not decoded"),
    ],
)  # fmt: skip
def test_a_layout_that_is_not_read_is_refused_by_its_name(outputs: list[Array], names: str) -> None:
    with pytest.raises(ModelError) as caught:
        recognize(sample_of(*outputs))
    assert names in str(caught.value)
