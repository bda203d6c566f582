"""Describes a head to the kernels that decode its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.core.errors import ModelError
from framelane.inference.backends.cuda.postprocess import MOST_LEVELS, HeadSpec
from framelane.models.heads.kind import BOX, RANK
from framelane.models.heads.rows import SCORES
from framelane.models.heads.six_columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.inference.backends.cuda.postprocess import Element
    from framelane.models.heads.head import Head, Layout

ELEMENTS: dict[str, Element] = {"float32": "float32", "float16": "float16"}


def head_spec(head: Head, shape: Sequence[int], dtype: str, labels: int) -> HeadSpec:
    """Return a head's description for the kernels.

    Args:
        head: the model's head.
        shape: the shape of the output tensor that the head reads; the batch dimension does not matter.
        dtype: the tensor's element type.
        labels: the number of the model's labels, which is the number of threshold columns.

    Raises:
        ModelError: the kernels can't decode such an output.
    """
    layout, strides = head.layout, head.strides
    assert layout is not None  # noqa: S101 - the runner has looked
    classes = labels if head.classes is None else head.classes
    values, anchors = _values_and_anchors(layout, shape)
    plain = {"columns": BOX + classes, "end2end": COLUMNS, "unit_end2end": COLUMNS}.get(
        layout, SCORES + classes
    )
    extra = values - plain
    fits = extra == 0 if head.details is None else extra > 0
    if not fits or anchors < 1 or len(strides) > MOST_LEVELS:
        raise ModelError(
            f"an output {list(shape)} does not fit the head `{head.name}` with {classes} classes on a GPU; "
            "build the engine again"
        )
    return HeadSpec(
        layout, anchors, values, extra, classes, _element(dtype, head.name), head.overlapping,
        head.input.size_wh, strides,
    )  # fmt: skip


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
