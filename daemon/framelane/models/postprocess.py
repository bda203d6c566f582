"""Turns a model's raw outputs into each stream's detections in source pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.core.frames import Detections
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.heads.nms import suppress
from framelane.models.heads.rotated_nms import suppress_rotated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.head import Candidates, Head
    from framelane.models.input.letterbox import Letterbox

__all__ = ["ClassFilter", "Postprocessor"]

# Input pixels. A box that reaches farther holds a number that overflowed in the model, which happens early in
# half precision.
FARTHEST = np.float32(1e6)
_NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))


@dataclass(frozen=True, slots=True)
class Postprocessor:
    """Decodes, filters and suppresses; threads may share one.

    Attributes:
        head: the layout of the outputs.
        iou: overlap above which the weaker of two boxes of a class is dropped.
        max_det: most detections per image.
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
        """Return the detections in every image of a batch, by its own stream's classes and thresholds."""
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
        kept = self._kept(_boxes(found))
        detections = Detections(letterbox.to_source(kept.xyxy), kept.confidence, kept.class_id)
        details = self.head.details
        return detections if details is None else details.add(detections, kept, outputs, image, letterbox)

    def _kept(self, found: Candidates) -> Candidates:
        """Return the best of the candidates, best first, of overlapping ones only the best."""
        if not self.head.overlapping:
            return found[np.argsort(-found.confidence, kind="stable")[: self.max_det]]
        if self.head.details is not None and self.head.details.rotated and found.extra is not None:
            keep = suppress_rotated(found.extra, found.confidence, found.class_id, self.iou, self.max_det)
        else:
            keep = suppress(found.xyxy, found.confidence, found.class_id, self.iou, self.max_det)
        return found[keep]


def _boxes(found: Candidates) -> Candidates:
    """Return boxes that have an area and don't reach too far, which excludes infinity and NaN.

    If one box is infinite, or two have no area, OpenCV suppresses boxes of other classes and places too.
    """
    xyxy = found.xyxy
    if np.abs(xyxy).max(initial=0) < FARTHEST and (xyxy[:, 2:] > xyxy[:, :2]).all():
        return found
    sound = (np.abs(xyxy) < FARTHEST).all(axis=1) & (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    return found[np.flatnonzero(sound)]
