"""What a message says of second models: an object's `attributes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framelane.messages.timestamps import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.core.attributes import Attribute, Part

# As for detections: pixels to 0.1, confidences to 4 digits.
_PIXEL_DIGITS, _DIGITS = 1, 4


def attributes_json(attributes: Sequence[Attribute]) -> dict[str, dict[str, Any]]:
    """Return an object's attributes by second model."""
    return {each.model: _attribute(each) for each in attributes}


def _attribute(attribute: Attribute) -> dict[str, Any]:
    body: dict[str, Any] = {
        "label": attribute.label,
        "confidence": round(attribute.confidence, _DIGITS),
        "at": timestamp(attribute.at),
    }
    if attribute.parts is not None:
        body["parts"] = [_part(part) for part in attribute.parts]
    return body


def _part(part: Part) -> dict[str, Any]:
    body: dict[str, Any] = {
        "label": part.label,
        "confidence": round(part.confidence, _DIGITS),
        "box": [round(side, _PIXEL_DIGITS) for side in part.xyxy],
    }
    if part.keypoints:
        body["keypoints"] = [
            [round(x, _PIXEL_DIGITS), round(y, _PIXEL_DIGITS), round(confidence, _DIGITS)]
            for x, y, confidence in part.keypoints
        ]
    return body
