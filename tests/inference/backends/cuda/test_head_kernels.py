"""Every head in the numbers that the kernels take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.inference.backends.cuda.both_paths import INPUT, STRIDES, head_of

from framelane.core.errors import ModelError
from framelane.inference.backends.cuda.head_kernels import head_spec
from framelane.inference.backends.cuda.postprocess import HeadSpec
from framelane.models.heads.yolox import YoloxHead

if TYPE_CHECKING:
    from framelane.models.heads.head import Layout


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
    name: str, shape: tuple[int, ...], layout: Layout, strides: tuple[int, ...]
) -> None:
    spec = head_spec(head_of(name, 80), shape, "float16", 80)
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
    ("name", "shape", "layout"),
    [("yolov8-pose", (1, 117, 8400), "columns"), ("end2end-pose", (1, 8400, 39), "end2end")],
)
def test_details_take_the_last_values(name: str, shape: tuple[int, ...], layout: Layout) -> None:
    spec = head_spec(head_of(name, 80), shape, "float16", 80)
    assert (spec.layout, spec.anchors, spec.values, spec.extra) == (layout, 8400, min(shape[1:]), 33)


def test_end2end_has_as_many_classes_as_labels() -> None:
    spec = head_spec(head_of("end2end", 0), (4, 300, 6), "float32", 7)
    assert (spec.layout, spec.anchors, spec.classes, spec.overlapping) == ("end2end", 300, 7, False)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "message"),
    [
        (
            "yolov8",
            (1, 85, 8400),
            "float32",
            r"an output \[1, 85, 8400\] does not fit the head `yolov8` with 80 classes",
        ),
        ("yolov5", (1, 8400, 84), "float32", r"\[1, 8400, 84\] does not fit the head `yolov5`"),
        ("end2end", (1, 300, 7), "float32", r"\[1, 300, 7\] does not fit the head `end2end`"),
        ("yolov8-pose", (1, 84, 8400), "float32", r"\[1, 84, 8400\] does not fit the head `yolov8`"),
        ("yolov8", (1, 84), "float32", r"\[1, 84\] does not fit the head `yolov8`"),
        ("yolov8", (1, 84, 8400), "int8", "reads float32 or float16 on a GPU, not int8"),
    ],
)
def test_an_output_that_the_kernels_cannot_read_is_refused(
    name: str, shape: tuple[int, ...], dtype: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        head_spec(head_of(name, 80), shape, dtype, 80)


def test_more_levels_than_the_kernels_know_are_refused() -> None:
    head = YoloxHead(INPUT, 80, 0, (4, 8, 16, 32, 64))
    with pytest.raises(ModelError, match="does not fit"):
        head_spec(head, (1, 9000, 85), "float32", 80)
