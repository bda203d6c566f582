"""Rows of corners, score and class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.models import tiny_models
from tests.models.heads.scenes import (
    CAR_IN_FRONT,
    PERSON,
    SCENE,
    SEEN_UNSUPPRESSED,
    WEAKER_PERSON,
    detect,
    load,
    sample_of,
    seen,
    table,
    told,
    wanting,
)
from tests.models.tiny_models import Box

from framelane.core.errors import ModelError
from framelane.models.heads.end_to_end import KIND

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def test_decode_keeps_wanted_rows_in_order_and_their_corners() -> None:
    rows = table([1, 2, 3, 4, 0.5, 0], [5, 6, 7, 8, 0.3, 1], [9, 9, 9, 9, 0.49, 0], [0, 0, 2, 2, 0.9, 1])
    head = KIND.make(sample_of(rows), sample_of(rows).outputs[0])
    assert told(head.decode([rows], 0, wanting(0.5, 0.25))) == [
        ([1, 2, 3, 4], 0.5, 0),
        ([5, 6, 7, 8], 0.3, 1),
        ([0, 0, 2, 2], 0.9, 1),
    ]
    assert told(head.decode([rows], 0, wanting(float("inf"), 0.5))) == [([0, 0, 2, 2], 0.9, 1)]


@pytest.mark.parametrize("class_id", [-1, 2, 1000])
def test_decode_passes_over_a_class_without_a_label(class_id: float) -> None:
    rows = table([1, 2, 3, 4, 0.9, class_id])
    head = KIND.make(sample_of(rows), sample_of(rows).outputs[0])
    assert told(head.decode([rows], 0, wanting(0.1, 0.1))) == []


def test_decode_reads_its_output_and_the_image_of_the_batch() -> None:
    rows = np.concatenate([table([1, 2, 3, 4, 0.9, 0]), table([5, 6, 7, 8, 0.8, 1])])
    head = KIND.make(sample_of(rows), sample_of(table([0]), rows).outputs[1])
    assert told(head.decode([np.zeros(1, np.float32), rows], 1, wanting(0.5, 0.5))) == [
        ([5, 6, 7, 8], 0.8, 1)
    ]


def test_raw_gives_corners_and_scores() -> None:
    rows = table([1, 2, 3, 4, 0.9, 1])
    raw = KIND.make(sample_of(rows), sample_of(rows).outputs[0]).raw([rows])
    assert raw.boxes is not None
    assert (raw.boxes.tolist(), raw.scores.shape, raw.confidence.shape) == (
        [[[1, 2, 3, 4]]],
        (1, 1, 1),
        (1, 1),
    )


@pytest.mark.parametrize(
    ("rows", "metadata", "expected"),
    [
        pytest.param(300, {}, False, id="final"),
        pytest.param(1000, {}, False, id="most final"),
        pytest.param(1001, {}, True, id="too many to be final"),
        pytest.param(420, {}, True, id="one per cell"),
        pytest.param(1260, {}, True, id="three per cell"),
        pytest.param(420, {"end2end": "True"}, False, id="final by metadata"),
    ],
)
def test_rows_overlap_when_they_are_all_predictions(
    rows: int, metadata: dict[str, str], *, expected: bool
) -> None:
    sample = sample_of(np.zeros((1, rows, 6), np.float32), metadata=metadata)
    assert expected is KIND.make(sample, sample.outputs[0]).overlapping


@pytest.mark.parametrize(
    ("rows", "metadata", "expected"),
    [
        pytest.param(tiny_models.end2end(SCENE), {}, True, id="corners in pixels"),
        pytest.param(tiny_models.rtdetr(SCENE), {}, False, id="centers and sizes as fractions"),
        pytest.param(tiny_models.rtdetr(SCENE), {"end2end": "true"}, True, id="whatever metadata name"),
        pytest.param(np.zeros((1, 300, 6), np.float32), {}, True, id="nothing found"),
        pytest.param(np.zeros((1, 420, 6), np.float32), {}, False, id="nothing, one per cell"),
        pytest.param(tiny_models.decoded_rows([PERSON], classes=1), {}, False, id="a decoder of one class"),
    ],
)
def test_shows_tells_labeled_corners_from_other_rows(
    rows: Array, metadata: dict[str, str], *, expected: bool
) -> None:
    sample = sample_of(rows, metadata=metadata)
    assert KIND.fits(sample, sample.outputs[0])
    assert expected is KIND.shows(sample, sample.outputs[0])


def test_end2end_passes_over_classes_beyond_the_labels(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.end2end([PERSON, Box((0, 0, 9, 9), 7, 0.8)])])
    assert seen(detect(load(path))[1][0]) == [(0, 0.9)]


def test_labelled_corners_of_every_cell_are_suppressed(tmp_path: Path) -> None:
    model = load(tiny_models.save(tmp_path / "m.onnx", [tiny_models.labelled(SCENE)]))
    assert (model.head.name, model.head.overlapping) == ("end2end", True)
    letterbox, (detections,) = detect(model)
    assert seen(detections) == [(0, 0.9), (2, 0.6)]
    expected = letterbox.to_source(np.array([PERSON.xyxy, CAR_IN_FRONT.xyxy], np.float32))
    np.testing.assert_allclose(detections.xyxy, expected, atol=0.05)


def test_labelled_corners_of_one_class_keep_their_score(tmp_path: Path) -> None:
    """As YOLOX or YOLOv5 of one class the class, 0, would be a factor of the score."""
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.labelled([PERSON, WEAKER_PERSON])])
    model = load(path, labels=["person"])
    assert seen(detect(model)[1][0]) == [(0, 0.9)]


def test_end2end_by_metadata_is_not_suppressed_however_many_rows(tmp_path: Path) -> None:
    metadata = {"end2end": "True"}
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.labelled(SCENE)], metadata=metadata)
    assert not load(path).head.overlapping


def listed(boxes: Sequence[Box], *, class_first: bool) -> Array:
    """YOLOv7's end2end rows of all images together, or those of YOLO-NAS."""
    rows = np.array([[0, *box.xyxy, box.score, box.class_id] for box in boxes], np.float32).reshape(-1, 7)
    return rows[:, [0, 1, 2, 3, 4, 6, 5]] if class_first else rows


def save_listed(path: Path, rows: Array) -> Path:
    """A file that gives these rows for the first picture of any batch."""
    value = numpy_helper.from_array(rows, "rows")
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["rows"], ["output"])],
            "listed",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 128, 160])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["detections", 7])],
            [value],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("class_first", [True, False])
def test_lists_of_all_images_are_divided(tmp_path: Path, *, class_first: bool) -> None:
    model = load(save_listed(tmp_path / "m.onnx", listed(SCENE, class_first=class_first)))
    assert (model.head.name, model.batch) == ("end2end", 1)
    assert seen(detect(model)[1][0]) == SEEN_UNSUPPRESSED


def test_a_list_of_nothing_is_refused_because_nothing_tells_its_order(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"none for any trial picture .*, or set `head: classifier` if its 7 columns"
    ):
        load(save_listed(tmp_path / "m.onnx", listed([], class_first=True)))


def test_class_before_score_is_read_as_it_is(tmp_path: Path) -> None:
    rows = tiny_models.end2end(SCENE)[..., [0, 1, 2, 3, 5, 4]]
    model = load(tiny_models.save(tmp_path / "m.onnx", [rows]))
    assert (model.head.name, model.head.layout) == ("end2end", None)
    assert seen(detect(model)[1][0]) == SEEN_UNSUPPRESSED
