"""Corners in input pixels, score and class, [N, K, 6]: YOLOv10, YOLO26, and files with suppression inside.

For other tasks than detection more values follow the class: mask weights, points, or an angle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.models.heads.head import Candidates, Layout, Raw
from framelane.models.heads.kind import HeadKind, rgb_input
from framelane.models.heads.rotation import hulls_of
from framelane.models.heads.six_columns import CLASS, COLUMNS, SCORE, SixColumns, fits_six, pick_labeled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.head import Details
    from framelane.models.heads.kind import Output, Sample
    from framelane.models.input.spec import InputSpec

# Files with final rows have 100 to 300 of them. All predictions of an image are thousands.
_MOST_FINAL = 1000


@dataclass(frozen=True, slots=True)
class EndToEndHead:
    """One row per detection; the layout does not tell how many classes there are.

    With `swapped`, class and score have changed places. With `overlapping`, the rows are all predictions of an
    image, and boxes of one object still overlap.
    With `details`, what follows the class is for them; with an angle, boxes are center and size.
    """

    classes: ClassVar[None] = None
    strides: ClassVar[tuple[int, ...]] = ()
    input: InputSpec
    output: int
    overlapping: bool = False
    details: Details | None = None
    name: str = "end2end"
    swapped: bool = False

    @property
    def layout(self) -> Layout | None:
        """See Head."""
        return None if self.swapped else "end2end"

    def raw(self, outputs: Sequence[NDArray[np.float32]]) -> Raw:
        """See Head."""
        rows = outputs[self.output]
        score = CLASS if self.swapped else SCORE
        return Raw(rows[..., :4], rows[..., score : score + 1], rows[..., score])

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head; a class beyond the labels is ignored."""
        rows = outputs[self.output][image]
        score, label = (CLASS, SCORE) if self.swapped else (SCORE, CLASS)
        index, confidence, class_id = pick_labeled(rows[:, score], rows[:, label], wanted)
        box, extra = rows[index, :SCORE], rows[index, COLUMNS:]
        if self.details is None:
            return Candidates(box, confidence, class_id)
        if not self.details.rotated:
            return Candidates(box, confidence, class_id, extra)
        rotated = np.concatenate([box, extra], axis=1)
        return Candidates(hulls_of(rotated), confidence, class_id, rotated)


def _shows(sample: Sample, output: Output) -> bool:
    """Return whether rows are labeled corners. One-class YOLOX and YOLOv5 have the same shape."""
    if sample.end2end or sample.rtdetr:
        return not sample.rtdetr
    six = SixColumns.of(output)
    if six.empty:
        # Lists have score and class in either order, and nothing tells which.
        return not sample.on_grid(output.shape[1]) and not output.listed
    return (six.labeled or six.swapped) and six.corners and not six.unit


def _make(sample: Sample, output: Output) -> EndToEndHead:
    rows = output.shape[1]
    overlapping = not sample.end2end and (sample.on_grid(rows) or rows > _MOST_FINAL)
    swapped = SixColumns.of(output).swapped
    return EndToEndHead(rgb_input(sample), output.number, overlapping=overlapping, swapped=swapped)


KIND = HeadKind("end2end", "[N, K, 6], x1 y1 x2 y2 score class in pixels", fits_six, _shows, _make)
