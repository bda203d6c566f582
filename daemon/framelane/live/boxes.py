"""Encodes the boxes of one frame for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from framelane.core.frames import Result


def boxes_json(result: Result, *, near: bool = False) -> bytes:
    """Return a frame's detections as JSON.

    Keys: `model`, `size` (width and height of the frame), and `boxes`, each as [left, top, right, bottom,
    confidence, label, track id or null] in pixels of the frame, highest confidence first. An object in
    zones has a list of their names as an eighth item. `near` is there, and true, if the boxes were found in
    another video of the camera, and their media time lies near that of a picture.
    """
    found, labels = result.detections, result.model.labels
    tracks = [0] * len(found) if found.track_id is None else found.track_id.tolist()
    zones = [()] * len(found) if found.zones is None else found.zones.tolist()
    boxes = [
        [
            *(round(side, 1) for side in xyxy),
            round(confidence, 3),
            labels[number] if number < len(labels) else str(number),
            # An object that has been seen once has no id yet.
            track if track > 0 else None,
            *([inside] if inside else []),
        ]
        for xyxy, confidence, number, track, inside in zip(
            found.xyxy.tolist(),
            found.confidence.tolist(),
            found.class_id.tolist(),
            tracks,
            zones,
            strict=True,
        )
    ]
    size = [result.frame.width, result.frame.height]
    more = {"near": True} if near else {}
    return orjson.dumps({"model": result.model.name, "size": size, "boxes": boxes, **more})
