"""Class-aware greedy non-maximum suppression on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The strongest boxes that are compared at all. Comparing is quadratic at worst. The limit keeps a scene full
# of weak boxes, with a very low confidence threshold, from delaying every stream.
MOST_COMPARED = 4096


def suppress(
    xyxy: NDArray[np.float32],
    confidence: NDArray[np.float32],
    class_id: NDArray[np.int32],
    iou: float,
    most: int,
) -> NDArray[np.intp]:
    """Return the indices of the boxes to keep, best confidence first, equal ones in their original order.

    A box is dropped if a kept box of its class overlaps it by more than `iou` (intersection over union).
    OpenCV compares in double precision with the interpreter lock released, several times faster than NumPy.
    It reads Python lists faster than arrays.

    Args:
        xyxy: corners [N, 4].
        confidence: [N], not negative.
        class_id: [N].
        iou: overlap above which the weaker box is dropped.
        most: most boxes to keep.
    """
    if len(confidence) < 2:  # noqa: PLR2004 - one box overlaps no other
        return np.arange(len(confidence))
    xywh = xyxy.astype(np.float64)
    xywh[:, 2:] = xyxy[:, 2:] - xyxy[:, :2]
    # OpenCV puts classes side by side, so boxes left of 0 or above it would meet those of other classes.
    xywh[:, :2] -= np.floor(xyxy[:, :2].min(initial=0))
    kept = cv2.dnn.NMSBoxesBatched(
        xywh.tolist(), confidence.tolist(), class_id.tolist(), -1.0, iou, top_k=MOST_COMPARED
    )
    return np.asarray(kept, np.intp)[:most]
