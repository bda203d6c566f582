"""YOLOv5 and YOLOv7 (and YOLOv6, whose objectness is 1): [N, A, 5+C], centre and size in input pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from framelane.inference.heads.head import Candidates, corners
from framelane.inference.heads.rows import pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.inputs import InputSpec


@dataclass(frozen=True, slots=True)
class YoloV5Head:
    """Three anchors a cell, decoded in the graph; confidence is objectness times class score."""

    name: ClassVar[str] = "yolov5"
    overlapping: ClassVar[bool] = True
    input: InputSpec
    classes: int
    output: int

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        rows = outputs[self.output][image]
        index, confidence, class_id = pick(rows, wanted)
        return Candidates(corners(*rows[index, :4].T), confidence, class_id)
