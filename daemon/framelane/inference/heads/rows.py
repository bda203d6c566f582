"""Scores of layouts that hold one prediction a row: [A, 4 box values, objectness, C class scores]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.inference.class_filter import ClassFilter

OBJECTNESS = 4
SCORES = 5


def pick(
    rows: NDArray[np.float32], wanted: ClassFilter
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
    """Numbers, confidences (objectness times score) and best classes of the rows that are wanted.

    No score exceeds 1, so a row whose objectness is below every threshold is out before its scores are read:
    on most pictures that leaves a few dozen of several thousand rows.
    """
    index = (rows[:, OBJECTNESS] >= wanted.floor).nonzero()[0]
    strong = rows[index]
    scores = strong[:, SCORES:]
    class_id = scores.argmax(axis=1).astype(np.int32)
    confidence = strong[:, OBJECTNESS] * scores.max(axis=1)
    passed = (confidence >= wanted.thresholds[class_id]).nonzero()[0]
    return index[passed], confidence[passed], class_id[passed]
