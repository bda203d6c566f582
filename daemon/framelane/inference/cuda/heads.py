"""What the kernels need to know of a head to decode its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.core.errors import ModelError
from framelane.gpu.postprocess import MOST_LEVELS, HeadSpec
from framelane.inference.heads.end2end import COLUMNS, EndToEndHead
from framelane.inference.heads.recognise import RANK
from framelane.inference.heads.rows import SCORES
from framelane.inference.heads.yolov5 import YoloV5Head
from framelane.inference.heads.yolov8 import BOX, YoloV8Head
from framelane.inference.heads.yolox import YoloxDecodedHead, YoloxHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.gpu.postprocess import Element, Layout
    from framelane.inference.heads.head import Head

ELEMENTS: dict[str, Element] = {"float32": "float32", "float16": "float16"}
LAYOUTS: dict[str, Layout] = {
    YoloV8Head.name: "columns",
    YoloV5Head.name: "rows",
    YoloxDecodedHead.name: "rows",
    YoloxHead.name: "grid_rows",
    EndToEndHead.name: "end2end",
}


def head_spec(head: Head, shape: Sequence[int], dtype: str, labels: int) -> HeadSpec:
    """A head in numbers.

    Args:
        head: the head of the model.
        shape: the shape of the output tensor that it reads; the batch does not matter.
        dtype: that tensor's element type.
        labels: how many labels the model has: the columns of the thresholds.

    Raises:
        ModelError: the kernels can't read such an output.
    """
    layout = LAYOUTS[head.name]
    classes = labels if head.classes is None else head.classes
    strides = head.strides if isinstance(head, YoloxHead) else ()
    values, anchors = _values_and_anchors(layout, shape)
    expected = {"columns": BOX + classes, "end2end": COLUMNS}.get(layout, SCORES + classes)
    if values != expected or anchors < 1 or len(strides) > MOST_LEVELS:
        raise ModelError(
            f"an output {list(shape)} does not fit the head `{head.name}` with {classes} classes on a GPU; "
            "build the engine again"
        )
    return HeadSpec(
        layout, anchors, classes, _element(dtype, head.name), head.overlapping, head.input.size_wh, strides
    )


def _values_and_anchors(layout: Layout, shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != RANK:
        return 0, 0
    return (shape[1], shape[2]) if layout == "columns" else (shape[2], shape[1])


def _element(dtype: str, head: str) -> Element:
    try:
        return ELEMENTS[dtype]
    except KeyError:
        raise ModelError(
            f"the head `{head}` reads float32 or float16 on a GPU, not {dtype}; export the model with such outputs"
        ) from None
