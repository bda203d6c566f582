"""Describes a head to the kernels that decode its outputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from framelane.core.errors import ModelError
from framelane.inference.backends.cuda.head_spec import HeadSpec, MapsSpec, ScoresSpec
from framelane.inference.backends.cuda.postprocess import MOST_LEVELS, TURNED
from framelane.models.heads.head import ScoredRows
from framelane.models.heads.kind import BOX, RANK
from framelane.models.heads.rows import SCORES
from framelane.models.heads.six_columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.inference.backends.cuda.head_spec import Element
    from framelane.models.heads.head import Head, Layout

    Shape = Sequence[int]

ELEMENTS: dict[str, Element] = {"float32": "float32", "float16": "float16"}
# Numbers that make an upright box a rotated one.
_ANGLE = 1


def head_spec(head: Head, shapes: Sequence[Shape], dtypes: Sequence[str], labels: int) -> HeadSpec:
    """Return a head's description for the kernels.

    Args:
        head: the model's head.
        shapes: the shapes of the model's outputs; the batch dimension does not matter.
        dtypes: their element types.
        labels: the number of the model's labels, which is the number of threshold columns.

    Raises:
        ModelError: the kernels can't decode such outputs.
    """
    layout, details = head.layout, head.details
    assert layout is not None  # noqa: S101 - the runner has looked
    classes = labels if head.classes is None else head.classes
    numbers = _read(head)
    read = [shapes[number] for number in numbers]
    extra = _extra(head, classes, read)
    if extra is None or len(head.strides) > MOST_LEVELS:
        raise ModelError(
            f"outputs {' and '.join(str(list(shape)) for shape in read)} do not fit the head `{head.name}` "
            f"with {classes} classes on a GPU; build the engine again"
        )
    elements = [_element(dtypes[number], head.name) for number in numbers]
    scores = None
    if isinstance(layout, ScoredRows):
        scores = ScoresSpec(read[1][2], elements[1], layout.logits, layout.unit)
    values, anchors = _values_and_anchors(head, read[0])
    return HeadSpec(
        "scored" if isinstance(layout, ScoredRows) else layout,
        anchors, values, extra, classes, elements[0], head.overlapping, head.input.size_wh, head.strides,
        rotated=details is not None and details.rotated,
        scores=scores,
        entries=elements[-1] if details is not None and details.per_object else None,
        maps=_maps(head, shapes, dtypes),
    )  # fmt: skip


def _maps(head: Head, shapes: Sequence[Shape], dtypes: Sequence[str]) -> MapsSpec | None:
    details = head.details
    if details is None or details.stride is None or details.output is None:
        return None
    height, width = shapes[details.output][2:]
    return MapsSpec((height, width), details.stride, _element(dtypes[details.output], head.name))


def _read(head: Head) -> list[int]:
    """Return the indices of the outputs that kernels read: boxes, then scores and entries of the details, if any."""
    found = [head.output]
    if isinstance(head.layout, ScoredRows):
        found.append(head.layout.output)
    if head.details is not None and head.details.per_object and head.details.output is not None:
        found.append(head.details.output)
    return found


def _extra(head: Head, classes: int, read: Sequence[Shape]) -> int | None:
    """Return how many numbers the details of a prediction have; None if the outputs don't fit the head."""
    predictions = {shape[1] for shape in read if len(shape) >= RANK}
    if len(read[0]) != RANK or any(len(shape) < RANK for shape in read) or len(predictions) > 1:
        return None
    values, anchors = _values_and_anchors(head, read[0])
    behind = _behind(head.layout, classes, values, read)
    if anchors < 1:
        return None
    if head.details is None:
        return 0 if behind == 0 else None
    if head.details.rotated:
        return TURNED if behind == _ANGLE else None
    if head.details.per_object:
        return math.prod(read[-1][2:]) if behind == 0 else None
    return behind if behind > 0 else None


def _values_and_anchors(head: Head, shape: Shape) -> tuple[int, int]:
    return (shape[1], shape[2]) if head.layout == "columns" else (shape[2], shape[1])


def _behind(layout: Layout | None, classes: int, values: int, read: Sequence[Shape]) -> int:
    """Return how many numbers follow a prediction's box and scores; below 0 if these don't fit."""
    if isinstance(layout, ScoredRows):
        fits = values >= BOX and max(layout.columns, default=0) < read[1][2]
        return 0 if fits else -1
    plain = {"columns": BOX + classes, "end2end": COLUMNS, "unit_end2end": COLUMNS}
    return values - plain.get(layout or "", SCORES + classes)


def _element(dtype: str, head: str) -> Element:
    try:
        return ELEMENTS[dtype]
    except KeyError:
        raise ModelError(
            f"the head `{head}` reads float32 or float16 on a GPU, not {dtype}; export the model with such outputs"
        ) from None
