"""Where the objects of a clip went, and a frame to draw that on."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from framelane.analytics.tracker import UNKNOWN

if TYPE_CHECKING:
    import av

    from framelane.core.frames import Result

_MOST_TRACKS = 300
_MOST_POINTS = 256
_LEAST_STEP = 0.004
"""Of the frame's longer side: nearer points are left out."""

Trail = list[tuple[float, float]]


class Trails:
    """The paths of the newest objects' feet, and the frame with the most objects. Bounded, however long the clip."""

    def __init__(self) -> None:
        self.by_track: OrderedDict[tuple[str, int], Trail] = OrderedDict()
        """Middles of the boxes' bottom edges in pixels, by model and track id; the newest object last."""
        self.picture: av.VideoFrame | None = None
        """The first of the frames with the most tracked objects."""
        self.boxes: list[tuple[tuple[str, int], str, tuple[float, ...]]] = []
        """Track, label and corners in pixels of that frame's objects."""
        self._most = -1
        self._size = 1.0

    def note(self, picture: av.VideoFrame, result: Result) -> None:
        """Take a model's tracked objects of the next frame."""
        found, labels = result.detections, result.model.labels
        ids = np.full(len(found), UNKNOWN) if found.track_id is None else found.track_id
        known = np.flatnonzero(ids != UNKNOWN)
        boxes = [
            (
                (result.model.name, int(ids[index])),
                labels[found.class_id[index]],
                tuple(found.xyxy[index].tolist()),
            )
            for index in known.tolist()
        ]
        self._size = max(picture.width, picture.height)
        for track, _, (left, _, right, bottom) in boxes:
            self._extend(track, ((left + right) / 2, bottom))
        if len(boxes) > self._most:
            self._most, self.picture, self.boxes = len(boxes), picture, boxes

    def _extend(self, track: tuple[str, int], point: tuple[float, float]) -> None:
        trail = self.by_track.setdefault(track, [])
        if (
            trail
            and max(abs(point[0] - trail[-1][0]), abs(point[1] - trail[-1][1])) < _LEAST_STEP * self._size
        ):
            return
        trail.append(point)
        if len(trail) > _MOST_POINTS:
            del trail[1::2]
        if len(self.by_track) > _MOST_TRACKS:
            self.by_track.popitem(last=False)
