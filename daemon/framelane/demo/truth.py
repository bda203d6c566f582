"""Measures on the pixels of a rendered image where its objects are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_VISIBLE = 0.4
"""An object with a smaller visible share is ignored: it counts neither as missed nor as false."""
LEAST_LONG_SIDE = 0.07
LEAST_SHORT_SIDE = 0.022
"""Shares of the image's longer side.

Smaller boxes are ignored (45 x 14 pixels at 640, 22 x 7 in the model's input).
"""


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The objects of one image as arrays of one length N.

    A ridden bicycle is two objects: a bicycle, and a person whose box is the rider's own.
    """

    # [N, 4] image pixels around the visible part, within the image.
    xyxy: NDArray[np.float32]
    # [N] index in CLASS_NAMES.
    class_id: NDArray[np.int64]
    # [N] share of the object's own pixels that are in the image and not hidden.
    visible: NDArray[np.float32]
    # [N] whether it is too small or too hidden to count for or against a detector.
    ignore: NDArray[np.bool_]
    # [N] number of the object in its scene, the same in every frame.
    actor: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measured:
    """A painted object: its number, class, search area, and the pixels of its whole silhouette."""

    actor: int
    class_id: int
    clip: tuple[int, int, int, int]
    area: float


def ground_truth(measured: list[Measured], owners: NDArray[np.uint8]) -> GroundTruth:
    """Measure the visible part of every object in the finished map of pixel owners [H, W]."""
    boxes, shares, kept = [], [], []
    for thing in sorted(measured, key=lambda thing: thing.actor):
        x1, y1, x2, y2 = thing.clip
        own = cv2.inRange(owners[y1:y2, x1:x2], thing.actor + 1, thing.actor + 1)
        x, y, w, h = cv2.boundingRect(own)
        if w and h:
            boxes.append((x1 + x, y1 + y, x1 + x + w, y1 + y + h))
            shares.append(cv2.countNonZero(own) / max(thing.area, 1.0))
            kept.append(thing)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    visible = np.minimum(np.array(shares, np.float32), 1.0)
    size = xyxy[:, 2:] - xyxy[:, :2]
    longer = max(owners.shape)
    small = (size.max(axis=1, initial=0) < LEAST_LONG_SIDE * longer) | (
        size.min(axis=1, initial=np.inf) < LEAST_SHORT_SIDE * longer
    )
    return GroundTruth(
        xyxy=xyxy,
        class_id=np.array([thing.class_id for thing in kept], np.int64),
        visible=visible,
        ignore=small | (visible < LEAST_VISIBLE),
        actor=np.array([thing.actor for thing in kept], np.int64),
    )
