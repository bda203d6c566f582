"""Rows of center and size as fractions, score and class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import (
    SCENE,
    load,
    sample_of,
    seen,
    table,
    told,
    wanting,
)
from tests.models.tiny_models import Box

from framelane.models.heads.recognize import recognize
from framelane.models.heads.rtdetr import KIND

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def test_decode_scales_fractions_to_the_input() -> None:
    rows = table([0.5, 0.5, 1, 1, 0.9, 0], [0.25, 0.125, 0.1, 0.25, 0.6, 1], [0.5, 0.5, 0.1, 0.1, 0.1, 1])
    sample = sample_of(rows, size_wh=(160, 128))
    head = KIND.make(sample, sample.outputs[0])
    assert told(head.decode([rows], 0, wanting(0.5, 0.5))) == [
        ([0, 0, 160, 128], 0.9, 0),
        ([32, 0, 48, 32], 0.6, 1),
    ]


def test_raw_has_no_boxes_in_pixels() -> None:
    rows = table([0.5, 0.5, 1, 1, 0.9, 0])
    head = KIND.make(sample_of(rows), sample_of(rows).outputs[0])
    assert (head.raw([rows]).boxes, head.overlapping, head.classes) == (None, False, None)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (tiny_models.rtdetr(SCENE), True),
        (tiny_models.end2end(SCENE), False),
        (np.zeros((1, 300, 6), np.float32), False),
        (table(*[[0.2, 0.3, 0.6, 0.9, 0.7, 2]] * 20), False),
    ],
    ids=["its own", "corners in pixels", "nothing", "corners as fractions"],
)
def test_shows_tells_centers_as_fractions_from_other_rows(rows: Array, *, expected: bool) -> None:
    assert expected is KIND.shows(sample_of(rows), sample_of(rows).outputs[0])


def scored(classes: int = 3) -> Array:
    """A query with an object of the last class, among others with hardly a score."""
    rows = np.full((1, 300, 4 + classes), 0.5, np.float32)
    rows[..., 4:] = 0.001
    rows[0, 7] = [0.25, 0.125, 0.1, 0.25, *[0.002] * (classes - 1), 0.75]
    return rows


@pytest.mark.parametrize("classes", [1, 2, 3, 80])
@pytest.mark.parametrize("noted", [True, False])
def test_a_score_for_each_class_is_read_too(classes: int, *, noted: bool) -> None:
    rows = scored(classes)
    notes = {"task": "detect", "head": "RTDETRDecoder"} if noted else {}
    head = recognize(sample_of(rows, names=classes, metadata=notes))
    assert (head.name, head.classes) == ("rtdetr", classes)
    assert told(head.decode([rows], 0, wanting(*[0.5] * classes))) == [([32, 0, 48, 32], 0.75, classes - 1)]
    assert head.raw([rows]).confidence[0, 7] == 0.75


def test_the_exporters_note_is_enough_when_nothing_is_found() -> None:
    head = recognize(sample_of(np.zeros((1, 300, 6), np.float32), metadata={"head": "RTDETRDecoder"}))
    assert head.name == "rtdetr"


def test_images_are_stretched(tmp_path: Path) -> None:
    model = load(tiny_models.save(tmp_path / "m.onnx", [tiny_models.rtdetr(SCENE)]))
    letterbox = model.input.letterbox((1280, 720))
    assert (letterbox.new_wh, letterbox.pad_xy) == ((160, 128), (0, 0))


def test_rtdetr_boxes_are_parts_of_the_picture(tmp_path: Path) -> None:
    car, person = Box((8, 6.4, 72, 70.4), 2, 0.9), Box((96, 64, 128, 89.6), 0, 0.8)
    model = load(tiny_models.save(tmp_path / "m.onnx", [tiny_models.rtdetr([car, person])]))
    letterbox = model.input.letterbox((160, 128))
    (found,) = model.detect(np.zeros(model.input.shape(1), np.float32), [letterbox], [model.filter()])
    assert seen(found) == [(2, 0.9), (0, 0.8)]
    np.testing.assert_allclose(found.xyxy, [car.xyxy, person.xyxy], atol=0.01)
