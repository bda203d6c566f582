"""Layouts with one prediction per row: [A, 4 box values, objectness, C class scores]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.models.heads.head import Candidates, Layout, Raw, corners
from framelane.models.heads.kind import RANK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.kind import Output, Sample
    from framelane.models.input.spec import InputSpec

OBJECTNESS = 4
SCORES = 5


@dataclass(frozen=True, slots=True)
class RowsHead:
    """Rows decoded in the graph: center and size in input pixels; confidence is objectness times class score."""

    layout: ClassVar[Layout] = "rows"
    strides: ClassVar[tuple[int, ...]] = ()
    details: ClassVar[None] = None
    overlapping: ClassVar[bool] = True
    name: str
    input: InputSpec
    classes: int
    output: int

    def raw(self, outputs: Sequence[NDArray[np.float32]]) -> Raw:
        """See Head."""
        return raw_rows(outputs[self.output], in_pixels=True)

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        rows = outputs[self.output][image]
        index, confidence, class_id = pick(rows, wanted)
        return Candidates(corners(*rows[index, :4].T), confidence, class_id)


def fits_rows(_sample: Sample, output: Output) -> bool:
    """Return whether an output's shape is [N, A, 5+C], with more rows than columns."""
    return len(output.shape) == RANK and SCORES < output.shape[2] < output.shape[1]


def pick(
    rows: NDArray[np.float32], wanted: ClassFilter
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
    """Return indices, confidences (objectness times score) and best classes of the wanted rows.

    No score exceeds 1, so a row whose objectness is below every threshold is dropped before its scores are
    read. For most images, that leaves a few dozen of several thousand rows.
    """
    index = (rows[:, OBJECTNESS] >= wanted.floor).nonzero()[0]
    strong = rows[index]
    scores = strong[:, SCORES:]
    class_id = scores.argmax(axis=1).astype(np.int32)
    confidence = strong[:, OBJECTNESS] * scores.max(axis=1)
    passed = (confidence >= wanted.thresholds[class_id]).nonzero()[0]
    return index[passed], confidence[passed], class_id[passed]


def raw_rows(rows: NDArray[np.float32], *, in_pixels: bool) -> Raw:
    """Return all predictions of a batch [n, A, 5+C]."""
    confidence = rows[..., OBJECTNESS] * rows[..., SCORES:].max(axis=-1)
    return Raw(rows[..., :OBJECTNESS] if in_pixels else None, rows[..., OBJECTNESS:], confidence)
