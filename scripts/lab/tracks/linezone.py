"""supervision's LineZone on given tracks, in each of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lab.tracks.footage import Crossing

if TYPE_CHECKING:
    from framelane.measure.hota import TrackFrame
    from lab.tracks.footage import Footage

_ANCHORS = {
    "four corners": ("TOP_LEFT", "TOP_RIGHT", "BOTTOM_LEFT", "BOTTOM_RIGHT"),
    "bottom": ("BOTTOM_CENTER",),
    "center": ("CENTER",),
}
SETTINGS = {
    f"LineZone, {anchor}, {frames} frame{'s' if frames > 1 else ''}": (names, frames)
    for anchor, names in _ANCHORS.items()
    for frames in (1, 2, 3)
}
"""Anchors and `minimum_crossing_threshold` by name; the first is the default."""


def line_zone(footage: Footage, tracks: list[TrackFrame], setting: str) -> list[Crossing]:
    """Return what LineZones on the footage's lines count."""
    import supervision as sv  # noqa: PLC0415 - a rival, not a dependency

    names, least = SETTINGS[setting]
    anchors = [sv.Position[name] for name in names]
    zones = [
        sv.LineZone(sv.Point(*start), sv.Point(*end), anchors, minimum_crossing_threshold=least)
        for start, end in footage.lines.tolist()
    ]
    found = []
    for number, frame in enumerate(tracks):
        seen = sv.Detections(
            np.asarray(frame.xyxy), None, np.ones(len(frame.ids)), np.zeros(len(frame.ids), int), frame.ids
        )
        for line, zone in enumerate(zones):
            # LineZone counts what comes to the line's left as `in`.
            for direction, crossed in zip((-1, 1), zone.trigger(seen), strict=True):
                found += [Crossing(line, direction, number / footage.fps)] * int(np.sum(crossed))
    return found
