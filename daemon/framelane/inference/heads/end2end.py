"""End-to-end YOLOv10 and YOLO26: [N, K, 6], x1 y1 x2 y2 score class in input pixels, free of overlaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.inference.heads.head import Candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.inputs import InputSpec

SCORE, CLASS, COLUMNS = 4, 5, 6


@dataclass(frozen=True, slots=True)
class EndToEndHead:
    """One row a detection; the layout doesn't tell how many classes there are."""

    name: ClassVar[str] = "end2end"
    overlapping: ClassVar[bool] = False
    input: InputSpec
    output: int
    classes: None = None

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head; a class beyond the labels is passed over."""
        rows = outputs[self.output][image]
        rows = rows[rows[:, SCORE] >= wanted.floor]
        class_id = rows[:, CLASS].astype(np.int32)
        known = (class_id >= 0) & (class_id < len(wanted.thresholds))
        passed = known & (rows[:, SCORE] >= wanted.thresholds[np.where(known, class_id, 0)])
        return Candidates(rows[passed, :4], rows[passed, SCORE], class_id[passed])
