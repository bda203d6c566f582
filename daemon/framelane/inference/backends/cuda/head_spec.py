"""A head in the numbers that the kernels take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Element = Literal["float32", "float16"]
Kind = Literal["columns", "rows", "grid_rows", "end2end", "unit_end2end", "scored"]


@dataclass(frozen=True, slots=True)
class ScoresSpec:
    """The scores of `ScoredRows`.

    Attributes:
        step: numbers per row.
        dtype: their element type.
        logits: whether they are before their sigmoid.
        unit: whether boxes are center and size as fractions of the image, else corners in pixels.
    """

    step: int
    dtype: Element
    logits: bool
    unit: bool


@dataclass(frozen=True, slots=True)
class MapsSpec:
    """Maps whose weighted sums the details read, such as prototypes of masks.

    Attributes:
        shape: rows and columns.
        stride: input pixels between cells.
        dtype: their element type.
    """

    shape: tuple[int, int]
    stride: int
    dtype: Element


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """A head as the kernels take it.

    Attributes:
        layout: how the outputs lie in memory; "scored" is `ScoredRows`.
        anchors: predictions per image.
        values: numbers per prediction in the output with the boxes.
        extra: numbers per prediction for the details: the last of `values`, a rotated box, or an entry of the
            output that the details read.
        classes: columns of the thresholds; for layouts other than those of 6 values, also the classes of
            the output.
        dtype: element type of the output with the boxes.
        overlapping: whether boxes of one object still have to be suppressed.
        input_wh: the model's input in pixels; with `strides` it defines the cells of "grid_rows", and
            alone the units of fractions.
        strides: input pixels between cells, level by level.
        rotated: whether boxes are center, size and angle, and suppressed as such.
        scores: the scores of "scored"; None for other layouts.
        entries: element type of the output with an entry per prediction; None if the details need no such.
        maps: the maps whose weights are the details; None if the details need no such.
    """

    layout: Kind
    anchors: int
    values: int
    extra: int
    classes: int
    dtype: Element
    overlapping: bool
    input_wh: tuple[int, int]
    strides: tuple[int, ...] = ()
    rotated: bool = False
    scores: ScoresSpec | None = None
    entries: Element | None = None
    maps: MapsSpec | None = None
