"""Class-aware greedy non-maximum suppression on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The strongest boxes that are compared at all. Comparing is quadratic at worst: the bound keeps a scene full
# of weak boxes, at a confidence set very low, from holding up every stream.
MOST_COMPARED = 4096


def suppress(
    xyxy: NDArray[np.float32],
    confidence: NDArray[np.float32],
    class_id: NDArray[np.int32],
    iou: float,
    most: int,
) -> NDArray[np.intp]:
    """Indices of the boxes to keep, best confidence first, equals in their order of arrival.

    A box goes when one of its class that was kept before it overlaps it by more than `iou` (intersection over
    union). OpenCV compares in double precision with the interpreter lock released, several times faster than
    the same in NumPy; it reads Python lists faster than arrays.

    Args:
        xyxy: corners [N, 4].
        confidence: [N], not negative.
        class_id: [N].
        iou: overlap above which the weaker box goes.
        most: most boxes to keep.
    """
    if len(confidence) < 2:  # noqa: PLR2004 - one box has no rival
        return np.arange(len(confidence))
    xywh = xyxy.copy()
    xywh[:, 2:] -= xywh[:, :2]
    kept = cv2.dnn.NMSBoxesBatched(
        xywh.tolist(), confidence.tolist(), class_id.tolist(), -1.0, iou, top_k=MOST_COMPARED
    )
    return np.asarray(kept, np.intp)[:most]
