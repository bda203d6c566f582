"""RT-DETR as Ultralytics exports it: center and size as fractions of a stretched image; no overlaps.

Rows are [N, K, 6] with score and class, or from older exporters [N, K, 4+C] with a score for each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.models.heads.head import Candidates, Layout, Raw, ScoredRows, corners
from framelane.models.heads.kind import RANK, HeadKind, rgb_input
from framelane.models.heads.six_columns import CLASS, SCORE, SixColumns, are_scores, fits_six, pick_labeled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.kind import Output, Sample
    from framelane.models.input.spec import InputSpec

_MOST_QUERIES = 1000


@dataclass(frozen=True, slots=True)
class RtDetrHead:
    """One row per query; with `classes` it ends with that many scores, else with a score and a class."""

    name: ClassVar[str] = "rtdetr"
    strides: ClassVar[tuple[int, ...]] = ()
    details: ClassVar[None] = None
    overlapping: ClassVar[bool] = False
    input: InputSpec
    output: int
    classes: int | None = None

    @property
    def layout(self) -> Layout:
        """See Head."""
        if self.classes is None:
            return "unit_end2end"
        return ScoredRows(self.output, tuple(range(SCORE, SCORE + self.classes)), unit=True)

    def raw(self, outputs: Sequence[NDArray[np.float32]]) -> Raw:
        """See Head; boxes are not in pixels."""
        rows = outputs[self.output]
        if self.classes is None:
            return Raw(None, rows[..., SCORE : SCORE + 1], rows[..., SCORE])
        return Raw(None, rows[..., SCORE:], rows[..., SCORE:].max(axis=-1))

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head; a class beyond the labels is ignored."""
        rows = outputs[self.output][image]
        if self.classes is None:
            index, confidence, class_id = pick_labeled(rows[:, SCORE], rows[:, CLASS], wanted)
        else:
            index, confidence, class_id = pick_scored(rows[:, SCORE:], wanted)
        return Candidates(unit_corners(rows[index, :SCORE], self.input), confidence, class_id)


def pick_scored(
    scores: NDArray[np.float32],
    wanted: ClassFilter,
    activation: Callable[[NDArray[np.float32]], NDArray[np.float32]] = np.asarray,
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
    """Return indices, confidences and classes of the rows [K, C] whose best class is wanted.

    The activation makes a confidence of a row's greatest score, and need not see the others.
    """
    class_id = scores.argmax(axis=1).astype(np.int32)
    confidence = activation(scores.max(axis=1))
    index = (confidence >= wanted.thresholds[class_id]).nonzero()[0]
    return index, confidence[index], class_id[index]


def unit_corners(boxes: NDArray[np.float32], spec: InputSpec) -> NDArray[np.float32]:
    """Return corners in input pixels of boxes [K, 4] given as center and size, fractions of the input."""
    scale = np.array([*spec.size_wh, *spec.size_wh], np.float32)
    return corners(*(boxes * scale).T)


def _fits(sample: Sample, output: Output) -> bool:
    if fits_six(sample, output):
        return True
    shape = output.shape
    few = len(shape) == RANK and shape[2] > SCORE and 0 < shape[1] <= _MOST_QUERIES
    return few and (sample.rtdetr or not sample.on_grid(shape[1]))


def _shows(sample: Sample, output: Output) -> bool:
    if sample.rtdetr:
        return True
    if fits_six(sample, output):
        six = SixColumns.of(output)
        if six.labeled or six.empty:
            return six.labeled and six.unit and not six.corners
    rows = output.rows
    scored = are_scores(rows) and bool((rows[:, SCORE:] != np.floor(rows[:, SCORE:])).any())
    return scored and output.shape[2] - SCORE == sample.names


def _make(sample: Sample, output: Output) -> RtDetrHead:
    labeled = fits_six(sample, output) and SixColumns.of(output).labeled
    return RtDetrHead(
        rgb_input(sample, "stretch"), output.number, None if labeled else output.shape[2] - SCORE
    )


KIND = HeadKind("rtdetr", "[N, K, 6], cx cy w h in 0..1, score, class", _fits, _shows, _make)
