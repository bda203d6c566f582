"""Adds an object's details to a message: mask, keypoints, rotated box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.core.frames import Detections

# Points have 0.1 pixel, confidences and angles 4 digits. Outlines have whole pixels, so that they stay short.
_POINT_DIGITS, _DIGITS = 1, 4


def add_details(objects: list[dict[str, Any]], detections: Detections) -> None:
    """Add `mask`, `keypoints`, `angle` and `corners` to a frame's objects, as far as the model gives them."""
    if detections.masks is not None:
        for each, outlines in zip(objects, detections.masks, strict=True):
            # An object whose mask is empty has none.
            if outlines:
                each["mask"] = [np.rint(outline).astype(np.int64).ravel().tolist() for outline in outlines]
    if detections.keypoints is not None:
        for each, points in zip(objects, _points(detections.keypoints), strict=True):
            each["keypoints"] = points
    if detections.angle is not None and detections.corners is not None:
        angles = np.round(detections.angle.astype(np.float64), _DIGITS).tolist()
        corners = np.round(detections.corners.astype(np.float64), _POINT_DIGITS).tolist()
        for each, angle, four in zip(objects, angles, corners, strict=True):
            each["angle"] = angle
            each["corners"] = four


def _points(keypoints: NDArray[np.float32]) -> list[list[list[float]]]:
    """Return [x, y, confidence] of each point; what overflowed in the model has confidence 0."""
    table = keypoints.astype(np.float64)
    broken = ~np.isfinite(table).all(axis=2)
    if broken.any():
        table[broken] = 0
    table[..., :2] = np.round(table[..., :2], _POINT_DIGITS)
    table[..., 2] = np.round(table[..., 2], _DIGITS)
    points: list[list[list[float]]] = table.tolist()
    return points
