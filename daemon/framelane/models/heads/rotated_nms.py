"""Class-aware suppression of rotated boxes on the CPU, as Ultralytics does it.

Boxes are compared as Gaussian distributions (ProbIoU, arXiv 2106.06072), and a box is dropped if any stronger
one of its class overlaps it, kept or not (Fast NMS, arXiv 1904.02689).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

# The strongest boxes that are compared at all; each is compared with all stronger ones.
MOST_ROTATED = 1024
_EPSILON = 1e-7
_FARTHEST = 100.0


def suppress_rotated(
    boxes: Array, confidence: Array, class_id: NDArray[np.int32], iou: float, most: int
) -> NDArray[np.intp]:
    """Return the indices of the boxes to keep, best confidence first, equal ones in their original order.

    Args:
        boxes: [N, 5], center, size and angle in radians.
        confidence: [N].
        class_id: [N].
        iou: overlap above which the weaker box is dropped.
        most: most boxes to keep.
    """
    order = np.argsort(-confidence, kind="stable")[:MOST_ROTATED]
    keep = np.ones(len(order), bool)
    for each in np.unique(class_id[order]):
        places = np.flatnonzero(class_id[order] == each)
        overlaps = np.triu(probabilistic_iou(boxes[order[places]]), 1) > iou
        keep[places] = ~overlaps.any(axis=0)
    return order[keep][:most]


def probabilistic_iou(boxes: Array) -> NDArray[np.float64]:
    """Return the overlap [N, N] between rotated boxes [N, 5], from 0 to 1."""
    x, y, width, height, angle = boxes[:, :5].astype(np.float64).T
    along, across = width**2 / 12, height**2 / 12
    cos, sin = np.cos(angle), np.sin(angle)
    a, b, c = along * cos**2 + across * sin**2, along * sin**2 + across * cos**2, (along - across) * cos * sin
    sum_a, sum_b, sum_c = (np.add.outer(each, each) for each in (a, b, c))
    apart_x, apart_y = np.subtract.outer(x, x), np.subtract.outer(y, y)
    joint = np.maximum(sum_a * sum_b - sum_c**2, 0)
    own = np.maximum(a * b - c**2, 0)
    distance = 0.25 * (sum_a * apart_y**2 + sum_b * apart_x**2) / (joint + _EPSILON)
    distance -= 0.5 * sum_c * apart_x * apart_y / (joint + _EPSILON)
    distance += 0.5 * np.log(joint / (4 * np.sqrt(np.multiply.outer(own, own)) + _EPSILON) + _EPSILON)
    distance = np.clip(distance, _EPSILON, _FARTHEST)
    overlap: NDArray[np.float64] = 1 - np.sqrt(1 - np.exp(-distance) + _EPSILON)
    return overlap
