"""Ultralytics YOLOv8, v9, 11, 12 and 26: [N, 4+C, A], center and size in input pixels, no objectness.

For other tasks than detection more rows follow the scores: mask weights, points, or an angle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.models.heads.head import Candidates, Layout, Raw, corners
from framelane.models.heads.kind import BOX, RANK, HeadKind, rgb_input
from framelane.models.heads.rotation import hulls_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.head import Details
    from framelane.models.heads.kind import Output, Sample
    from framelane.models.input.spec import InputSpec


@dataclass(frozen=True, slots=True)
class YoloV8Head:
    """One column per prediction; scores are read per class, in memory order.

    With `details`, what follows the scores is for them; an angle belongs to the box.
    """

    layout: ClassVar[Layout] = "columns"
    strides: ClassVar[tuple[int, ...]] = ()
    overlapping: ClassVar[bool] = True
    input: InputSpec
    classes: int
    output: int
    details: Details | None = None
    name: str = "yolov8"

    def raw(self, outputs: Sequence[NDArray[np.float32]]) -> Raw:
        """See Head."""
        columns = outputs[self.output]
        scores = columns[:, BOX : BOX + self.classes]
        return Raw(columns[:, :BOX].swapaxes(1, 2), scores.swapaxes(1, 2), scores.max(axis=1))

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        columns = outputs[self.output][image]
        scores = columns[BOX : BOX + self.classes]
        # A wanted box has a wanted class above the floor, so the other classes need no scan.
        read = scores if wanted.wanted is None else scores[wanted.wanted]
        index = np.flatnonzero(read.max(axis=0, initial=0) >= wanted.floor)
        strong = columns[:, index]
        scores, extra = strong[BOX : BOX + self.classes], strong[BOX + self.classes :]
        class_id = scores.argmax(axis=0).astype(np.int32)
        confidence = scores[class_id, np.arange(len(index))]
        passed = confidence >= wanted.thresholds[class_id]
        box = strong[:BOX, passed]
        if self.details is None:
            return Candidates(corners(*box), confidence[passed], class_id[passed])
        if not self.details.rotated:
            return Candidates(corners(*box), confidence[passed], class_id[passed], extra[:, passed].T)
        rotated = np.concatenate([box, extra[:, passed]]).T
        return Candidates(hulls_of(rotated), confidence[passed], class_id[passed], rotated)


def _fits(_sample: Sample, output: Output) -> bool:
    return len(output.shape) == RANK and BOX < output.shape[1] <= output.shape[2]


def _make(sample: Sample, output: Output) -> YoloV8Head:
    return YoloV8Head(rgb_input(sample), output.shape[1] - BOX, output.number)


KIND = HeadKind("yolov8", "[N, 4+classes, anchors]", _fits, _fits, _make)
