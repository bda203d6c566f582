"""What second models say of tracked objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Corners = tuple[float, float, float, float]
    Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """What a detector found within an object.

    Attributes:
        label: class name.
        confidence: 0 to 1.
        xyxy: corners in source pixels of the frame that showed it.
        keypoints: x, y in the same pixels and confidence of each point; empty if the model gives none.
    """

    label: str
    confidence: float
    xyxy: Corners
    keypoints: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute:
    """What a second model says of a tracked object.

    Attributes:
        model: key of the second model.
        label: class name: a classifier's, by a vote; of a detector's parts the best one's.
        confidence: of the newest answer with this label, 0 to 1.
        at: Unix time in seconds at which the frame of that answer was captured.
        parts: what a detector found, best first; None for a classifier.
    """

    model: str
    label: str
    confidence: float
    at: float
    parts: tuple[Part, ...] | None = None


def attribute_of(value: Mapping[str, Any]) -> Attribute:
    """Return the attribute that was stored as JSON, field by field."""
    parts = value["parts"]
    return Attribute(**{**value, "parts": None if parts is None else tuple(map(_part, parts))})


def _part(value: Mapping[str, Any]) -> Part:
    left, top, right, bottom = value["xyxy"]
    points = tuple((x, y, confidence) for x, y, confidence in value["keypoints"])
    return Part(value["label"], value["confidence"], (left, top, right, bottom), points)
