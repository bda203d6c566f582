"""Rotated boxes: center, size and an angle in radians, clockwise from the x axis to the side called width."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.models.heads.head import Candidates
    from framelane.models.input.letterbox import Letterbox

    Array = NDArray[np.float32]
    Floats = Array | NDArray[np.float16]

# From the center to each corner, in halves of width and height.
_CORNERS = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]], np.float32)


@dataclass(frozen=True, slots=True)
class Rotation:
    """The rotated boxes that the candidates' `extra` [K, 5] holds; see Details."""

    output: ClassVar[None] = None
    per_object: ClassVar[bool] = False
    rotated: ClassVar[bool] = True
    stride: ClassVar[None] = None

    def add(
        self,
        found: Detections,
        kept: Candidates,
        outputs: Sequence[Floats],  # noqa: ARG002 - see Details
        image: int,  # noqa: ARG002
        letterbox: Letterbox,
    ) -> Detections:
        """See Details; corners may lie outside the image."""
        assert kept.extra is not None  # noqa: S101 - the head has read them
        corners = letterbox.points_to_source(corners_of(kept.extra), clip=False)
        # The side called width, seen in the source: stretching an image turns it.
        across = corners[:, 1] - corners[:, 2]
        angle = np.arctan2(across[:, 1], across[:, 0])
        turned = np.float32(np.pi) * np.rint(angle / np.float32(np.pi))
        return replace(found, corners=corners, angle=angle - turned)


def corners_of(boxes: Array) -> Array:
    """Return the corners [K, 4, 2] of rotated boxes [K, 5], in turn."""
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    half = boxes[:, 2:4] / 2
    along = np.stack([cos, sin], axis=1) * half[:, :1]
    across = np.stack([-sin, cos], axis=1) * half[:, 1:]
    parts = np.stack([along, across], axis=1)
    corners: Array = boxes[:, None, :2] + np.einsum("cp,kpx->kcx", _CORNERS, parts)
    return corners


def hulls_of(boxes: Array) -> Array:
    """Return the upright boxes [K, 4] that enclose rotated boxes [K, 5]: x1 y1 x2 y2."""
    cos, sin = np.abs(np.cos(boxes[:, 4])), np.abs(np.sin(boxes[:, 4]))
    width, height = boxes[:, 2], boxes[:, 3]
    reach = np.stack([width * cos + height * sin, width * sin + height * cos], axis=1) / 2
    return np.concatenate([boxes[:, :2] - reach, boxes[:, :2] + reach], axis=1)
