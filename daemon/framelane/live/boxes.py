"""Encodes the boxes of one frame for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from framelane.core.attributes import Attribute
    from framelane.core.frames import Result


def boxes_json(result: Result, *, near: bool = False) -> bytes:
    """Return a frame's detections as JSON.

    Keys: `model`, `size` (width and height of the frame), and `boxes`, each as [left, top, right, bottom,
    confidence, label, track id or null] in pixels of the frame, highest confidence first. An object in
    zones has a list of their names as an eighth item. One with attributes has a list
    of [key of the second model, label] as a ninth item, and the eighth even if it is empty. `near` is there, and
    true, if the boxes were found in another video of the camera, and their media time lies near that of a picture.
    """
    found, labels = result.detections, result.model.labels
    tracks = [0] * len(found) if found.track_id is None else found.track_id.tolist()
    zones = [()] * len(found) if found.zones is None else found.zones.tolist()
    attributes = [()] * len(found) if found.attributes is None else found.attributes.tolist()
    boxes = [
        [
            *(round(side, 1) for side in xyxy),
            round(confidence, 3),
            labels[number] if number < len(labels) else str(number),
            # An object that has been seen once has no id yet.
            track if track > 0 else None,
            *([inside] if inside or told else []),
            *([[[each.model, _words(each)] for each in told]] if told else []),
        ]
        for xyxy, confidence, number, track, inside, told in zip(
            found.xyxy.tolist(),
            found.confidence.tolist(),
            found.class_id.tolist(),
            tracks,
            zones,
            attributes,
            strict=True,
        )
    ]
    size = [result.frame.width, result.frame.height]
    more = {"near": True} if near else {}
    return orjson.dumps({"model": result.model.name, "size": size, "boxes": boxes, **more})


def _words(attribute: Attribute) -> str:
    """Return a classifier's label, or all labels that a detector found, best first."""
    if attribute.parts is None:
        return attribute.label
    return ", ".join(dict.fromkeys(part.label for part in attribute.parts))
