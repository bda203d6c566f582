"""Ultralytics YOLOv8, v9, 11 and 12: [N, 4+C, A], centre and size in input pixels, no objectness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.inference.heads.head import Candidates, corners

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.inputs import InputSpec

BOX = 4


@dataclass(frozen=True, slots=True)
class YoloV8Head:
    """One column a prediction; scores are read class by class, as they lie in memory."""

    name: ClassVar[str] = "yolov8"
    overlapping: ClassVar[bool] = True
    input: InputSpec
    classes: int
    output: int

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        columns = outputs[self.output][image]
        scores = columns[BOX:]
        # A wanted box has a wanted class above the floor: the other classes don't tell where to look.
        read = scores if wanted.wanted is None else scores[wanted.wanted]
        index = np.flatnonzero(read.max(axis=0, initial=0) >= wanted.floor)
        strong = columns[:, index]
        class_id = strong[BOX:].argmax(axis=0).astype(np.int32)
        confidence = strong[BOX:][class_id, np.arange(len(index))]
        passed = confidence >= wanted.thresholds[class_id]
        return Candidates(corners(*strong[:BOX, passed]), confidence[passed], class_id[passed])
