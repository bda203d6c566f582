"""Every head in the numbers that the kernels take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.inference.backends.cuda.both_paths import INPUT, STRIDES, head_of

from framelane.core.errors import ModelError
from framelane.inference.backends.cuda.head_kernels import head_spec
from framelane.inference.backends.cuda.head_spec import HeadSpec, ScoresSpec
from framelane.models.heads.masks import QueryMasks
from framelane.models.heads.rfdetr import RfDetrHead
from framelane.models.heads.yolox import YoloxHead

if TYPE_CHECKING:
    from framelane.inference.backends.cuda.head_spec import Kind


@pytest.mark.parametrize(
    ("name", "shape", "layout", "strides"),
    [
        ("yolov8", (-1, 84, 8400), "columns", ()),
        ("yolov5", (16, 8400, 85), "rows", ()),
        ("yolox-decoded", (16, 8400, 85), "rows", ()),
        ("yolox", (16, 8400, 85), "grid_rows", STRIDES),
    ],
)
def test_a_head_is_told_in_numbers(
    name: str, shape: tuple[int, ...], layout: Kind, strides: tuple[int, ...]
) -> None:
    spec = head_spec(head_of(name, 80), [shape], ["float16"], 80)
    expected = HeadSpec(
        layout,
        anchors=8400,
        values=min(shape[1:]),
        extra=0,
        classes=80,
        dtype="float16",
        overlapping=True,
        input_wh=INPUT.size_wh,
        strides=strides,
    )
    assert expected == spec


@pytest.mark.parametrize(
    ("name", "shape", "layout", "extra"),
    [
        ("yolov8-pose", (1, 117, 8400), "columns", 33),
        ("end2end-pose", (1, 8400, 39), "end2end", 33),
        ("yolov8-obb", (1, 85, 8400), "columns", 5),
        ("end2end-obb", (1, 8400, 7), "end2end", 5),
    ],
)
def test_details_take_the_last_values_or_a_rotated_box(
    name: str, shape: tuple[int, ...], layout: Kind, extra: int
) -> None:
    spec = head_spec(head_of(name, 80), [shape], ["float16"], 80)
    assert (spec.layout, spec.anchors, spec.values, spec.extra) == (layout, 8400, min(shape[1:]), extra)
    assert spec.rotated == name.endswith("obb")


def test_scores_of_another_output_are_told_with_their_own_type() -> None:
    spec = head_spec(head_of("yolo-nas", 80), [(1, 8400, 4), (1, 8400, 80)], ["float32", "float16"], 80)
    assert (spec.layout, spec.anchors, spec.values, spec.dtype) == ("scored", 8400, 4, "float32")
    assert spec.scores == ScoresSpec(80, "float16", logits=False, unit=False)


def test_scores_may_follow_the_boxes() -> None:
    spec = head_spec(head_of("rtdetr-scores", 80), [(1, 300, 84)], ["float16"], 80)
    assert (spec.layout, spec.values) == ("scored", 84)
    assert spec.scores == ScoresSpec(84, "float16", logits=False, unit=True)


def test_a_map_per_query_is_all_of_its_details() -> None:
    head = RfDetrHead("rf-detr-seg", INPUT, 0, 1, tuple(range(90)), QueryMasks(2, INPUT.size_wh))
    shapes = [(1, 100, 4), (1, 100, 91), (1, 100, 78, 96)]
    spec = head_spec(head, shapes, ["float32", "float16", "float16"], 90)
    assert (spec.extra, spec.entries, spec.dtype) == (78 * 96, "float16", "float32")
    assert spec.scores == ScoresSpec(91, "float16", logits=True, unit=True)


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 100, 4), (1, 99, 91), (1, 100, 78, 78)],
        [(1, 100, 4), (1, 100, 89), (1, 100, 78, 78)],
        [(1, 100, 4), (1, 100, 91), (1, 99, 78, 78)],
        [(1, 100, 3), (1, 100, 91), (1, 100, 78, 78)],
        [(1, 100), (1, 100, 91), (1, 100, 78, 78)],
        [(1, 100, 4), (1, 100), (1, 100, 78, 78)],
        [(1, 100, 4), (1, 100, 91), (1, 100)],
    ],
)
def test_outputs_that_do_not_belong_together_are_refused(shapes: list[tuple[int, ...]]) -> None:
    head = RfDetrHead("rf-detr-seg", INPUT, 0, 1, tuple(range(90)), QueryMasks(2, INPUT.size_wh))
    with pytest.raises(ModelError, match="do not fit the head `rf-detr-seg` with 90 classes"):
        head_spec(head, shapes, ["float32"] * 3, 90)


def test_end2end_has_as_many_classes_as_labels() -> None:
    spec = head_spec(head_of("end2end", 0), [(4, 300, 6)], ["float32"], 7)
    assert (spec.layout, spec.anchors, spec.classes, spec.overlapping) == ("end2end", 300, 7, False)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        (
            "yolov8",
            (1, 85, 8400),
            "float32",
            r"outputs \[1, 85, 8400\] do not fit the head `yolov8` with 80 classes",
        ),
        ("yolov5", (1, 8400, 84), "float32", r"\[1, 8400, 84\] do not fit the head `yolov5`"),
        ("end2end", (1, 300, 7), "float32", r"\[1, 300, 7\] do not fit the head `end2end`"),
        ("yolov8-pose", (1, 84, 8400), "float32", r"\[1, 84, 8400\] do not fit the head `yolov8`"),
        ("yolov8-obb", (1, 86, 8400), "float32", r"\[1, 86, 8400\] do not fit the head `yolov8`"),
        ("end2end-obb", (1, 300, 6), "float32", r"\[1, 300, 6\] do not fit the head `end2end`"),
        ("rtdetr-scores", (1, 300, 83), "float32", r"\[1, 300, 83\] do not fit the head `rtdetr`"),
        ("yolov8", (1, 84), "float32", r"\[1, 84\] do not fit the head `yolov8`"),
        ("yolov8", (1, 84, 8400), "int8", "reads float32 or float16 on a GPU, not int8"),
    ],
)
def test_an_output_that_the_kernels_cannot_read_is_refused(
    name: str, shape: tuple[int, ...], dtype: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        head_spec(head_of(name, 80), [shape], [dtype], 80)


def test_more_levels_than_the_kernels_know_are_refused() -> None:
    head = YoloxHead(INPUT, 80, 0, (4, 8, 16, 32, 64))
    with pytest.raises(ModelError, match="do not fit"):
        head_spec(head, [(1, 9000, 85)], ["float32"], 80)
