"""YOLO-NAS before suppression: corners [N, A, 4] in input pixels and scores [N, A, C] in two outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.models.heads.head import Candidates, Raw, ScoredRows
from framelane.models.heads.kind import HeadKind, rgb_input
from framelane.models.heads.rtdetr import pick_scored
from framelane.models.heads.six_columns import UNIT, are_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.kind import Output, Sample
    from framelane.models.input.spec import InputSpec

_MOST = 0.95


@dataclass(frozen=True, slots=True)
class YoloNasHead:
    """One row per cell in each of two outputs."""

    name: ClassVar[str] = "yolo-nas"
    details: ClassVar[None] = None
    strides: ClassVar[tuple[int, ...]] = ()
    overlapping: ClassVar[bool] = True
    input: InputSpec
    classes: int
    output: int
    scores: int

    @property
    def layout(self) -> ScoredRows:
        """See Head."""
        return ScoredRows(self.scores, tuple(range(self.classes)))

    def raw(self, outputs: Sequence[NDArray[np.float32]]) -> Raw:
        """See Head."""
        scores = outputs[self.scores]
        return Raw(outputs[self.output], scores, scores.max(axis=-1))

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        index, confidence, class_id = pick_scored(outputs[self.scores][image], wanted)
        return Candidates(outputs[self.output][image][index], confidence, class_id)


def _scores(sample: Sample, boxes: Output) -> Output | None:
    """Return the only other output with as many rows, which are scores."""
    fitting = sample.beside(boxes)
    return fitting[0] if len(fitting) == 1 and are_scores(fitting[0].rows) else None


def _fits(sample: Sample, output: Output) -> bool:
    return _scores(sample, output) is not None


def _shows(sample: Sample, output: Output) -> bool:
    """Return whether boxes are corners in pixels, one for each cell."""
    rows = output.rows
    corners = float((rows[:, 2:] > rows[:, :2]).all(axis=1).mean()) if len(rows) else 0.0
    pixels = float(np.abs(rows).max(initial=0)) > UNIT
    return sample.on_grid(output.shape[1]) and pixels and corners >= _MOST


def _make(sample: Sample, output: Output) -> YoloNasHead:
    scores = _scores(sample, output)
    assert scores is not None  # noqa: S101 - `fits` asked
    return YoloNasHead(rgb_input(sample), scores.shape[2], output.number, scores.number)


KIND = HeadKind(
    "yolo-nas", "[N, 1 a cell, 4] corners in pixels and [N, 1 a cell, classes]",
    _fits, _shows, _make, joins=True,
)  # fmt: skip
