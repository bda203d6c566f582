"""Infers the meaning of outputs with six values per row: four of a box, a score and a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.models.heads.kind import RANK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.kind import Output, Sample

    Array = NDArray[np.float32]

SCORE, CLASS, COLUMNS = 4, 5, 6
# Boxes that reach no farther are fractions of the image, not pixels. A box may reach slightly beyond its
# image.
UNIT = 1.5
# Share of rows whose third and fourth value exceed the first and second: all of them for corners. For centers
# and sizes as fractions, only those of objects that fill most of the image.
_ALL, _MOST = 0.95, 0.5
_BLUR = 0.01


@dataclass(frozen=True, slots=True)
class SixColumns:
    """What rows of six values can be.

    Attributes:
        empty: there are no boxes, as when suppression in the graph finds nothing.
        labeled: the last column holds classes, so the one before should be scores.
        swapped: the last column holds scores and the one before classes.
        unit: boxes are fractions of the image, not pixels.
        corners: boxes are corners, not centers and sizes.
    """

    empty: bool
    labeled: bool
    swapped: bool
    unit: bool
    corners: bool

    @staticmethod
    def of(output: Output) -> SixColumns:
        """Return what an output [1, K, 6] holds."""
        rows = output.rows
        rows = rows[np.isfinite(rows).all(axis=1)]
        score, label = rows[:, SCORE], rows[:, CLASS]
        box = rows[(rows[:, :SCORE] != 0).any(axis=1), :SCORE]
        empty = not len(box)
        unit = not empty and bool(np.abs(box).max() <= UNIT)
        ordered = float((box[:, 2:] > box[:, :2]).all(axis=1).mean()) if not empty else 1.0
        labeled = are_classes(label)
        return SixColumns(
            empty=empty,
            labeled=labeled,
            swapped=not labeled and are_scores(label) and are_classes(score),
            unit=unit,
            corners=ordered >= (_ALL if unit else _MOST),
        )


def fits_six(_sample: Sample, output: Output) -> bool:
    """Return whether an output has rows of six values."""
    return len(output.shape) == RANK and output.shape[2] == COLUMNS


def pick_labeled(
    scores: Array, labels: Array, wanted: ClassFilter
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
    """Return indices, scores and classes of the wanted entries [K]; a class beyond the labels is ignored."""
    index = (scores >= wanted.floor).nonzero()[0]
    class_id = labels[index].astype(np.int32)
    known = (class_id >= 0) & (class_id < len(wanted.thresholds))
    passed = known & (scores[index] >= wanted.thresholds[np.where(known, class_id, 0)])
    index = index[passed]
    return index, scores[index], class_id[passed]


def are_scores(values: Array) -> bool:
    """Return whether values are from 0 to 1."""
    return bool(((values >= -_BLUR) & (values <= 1 + _BLUR)).all())


def are_classes(values: Array) -> bool:
    """Return whether values are whole numbers from 0, or -1 for an empty row."""
    return bool(((values >= -1) & (values == np.floor(values))).all())
