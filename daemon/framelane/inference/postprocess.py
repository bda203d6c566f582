"""From a model's raw outputs to each stream's detections in source pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.core.frames import Detections
from framelane.inference.class_filter import ClassFilter
from framelane.inference.heads.head import Candidates
from framelane.inference.nms import suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.inference.heads.head import Head
    from framelane.inference.letterbox import Letterbox

__all__ = ["ClassFilter", "Postprocessor"]

# Pixels of the input; a box that reaches farther holds a number that overflowed in the model, as half precision
# does early.
FARTHEST = np.float32(1e6)
_NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))


@dataclass(frozen=True, slots=True)
class Postprocessor:
    """Decodes, filters and suppresses; threads may share one.

    Attributes:
        head: the layout of the outputs.
        iou: overlap above which the weaker of two boxes of a class goes.
        max_det: most detections a picture.
    """

    head: Head
    iou: float
    max_det: int

    def __call__(
        self,
        outputs: Sequence[NDArray[np.float32]],
        letterboxes: Sequence[Letterbox],
        filters: Sequence[ClassFilter],
    ) -> list[Detections]:
        """The detections of every picture of a batch, by the classes and thresholds of its own stream."""
        return [
            self._one(outputs, image, letterbox, wanted)
            for image, (letterbox, wanted) in enumerate(zip(letterboxes, filters, strict=True))
        ]

    def _one(
        self, outputs: Sequence[NDArray[np.float32]], image: int, letterbox: Letterbox, wanted: ClassFilter
    ) -> Detections:
        found = self.head.decode(outputs, image, wanted)
        if not len(found.confidence):
            return _NOTHING
        found = _boxes(found)
        if self.head.overlapping:
            keep = suppress(found.xyxy, found.confidence, found.class_id, self.iou, self.max_det)
        else:
            keep = np.argsort(-found.confidence, kind="stable")[: self.max_det]
        return Detections(letterbox.to_source(found.xyxy[keep]), found.confidence[keep], found.class_id[keep])


def _boxes(found: Candidates) -> Candidates:
    """Those that have an area and don't reach too far; infinite and not-a-number do.

    Where one box is infinite, or two have no area, OpenCV suppresses boxes of other classes and places too.
    """
    xyxy = found.xyxy
    if np.abs(xyxy).max(initial=0) < FARTHEST and (xyxy[:, 2:] > xyxy[:, :2]).all():
        return found
    sound = (np.abs(xyxy) < FARTHEST).all(axis=1) & (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    return Candidates(xyxy[sound], found.confidence[sound], found.class_id[sound])
