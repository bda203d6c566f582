"""What is where in a rendered image, measured on its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_VISIBLE = 0.4
"""An object of which less than this is to be seen is ignored: neither asked for nor punished."""
LEAST_LONG_SIDE = 0.07
LEAST_SHORT_SIDE = 0.022
"""Of the image's longer side; smaller boxes are ignored (45 x 14 pixels at 640, 22 x 7 as the model sees them)."""


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The objects of one image as arrays of one length N.

    A ridden bicycle is two objects: a bicycle, and a person whose box is the rider's own.
    """

    xyxy: NDArray[np.float32]  # [N, 4] image pixels around what is visible, within the image
    class_id: NDArray[np.int64]  # [N] index in CLASS_NAMES
    visible: NDArray[np.float32]  # [N] share of the object's own pixels that are in the image and not hidden
    ignore: NDArray[np.bool_]  # [N] too small or too hidden to count for or against a detector
    actor: NDArray[np.int64]  # [N] number of the object in its scene, the same in every frame


@dataclass(frozen=True, slots=True)
class Measured:
    """A painted object: its number, its class, where to look for it, and the pixels of its whole silhouette."""

    actor: int
    class_id: int
    clip: tuple[int, int, int, int]
    area: float


def ground_truth(measured: list[Measured], owners: NDArray[np.uint8]) -> GroundTruth:
    """Measure what is left of every object in the finished map of pixel owners [H, W]."""
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
