"""What a cascade remembers of one tracked object: when it was looked at, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.core.attributes import Attribute, Part

if TYPE_CHECKING:
    from framelane.core.frames import Detections, FrameInfo, Picture, Result
    from framelane.telemetry.crop_counts import CropMeter

_MOST_VOTES = 3.0
"""Most votes, as a sum of confidences, for a label: an early mistake is outvoted within a few answers."""
_TELL_S = 5.0
"""Least seconds between two times that a second model's news of an object are told.

A detector may find a part in one crop and miss it in the next.
"""
_MOST_PARTS = 16
"""Most parts that are told of an object, the best ones: each message about it repeats them."""


class Newest(NamedTuple):
    """An object in the newest frame that shows it.

    Attributes:
        picture: the frame's pixels.
        frame: the frame.
        xyxy: the object's box, in pixels.
    """

    picture: Picture
    frame: FrameInfo
    xyxy: tuple[float, float, float, float]


class SeenObject:
    """One tracked object of a stream. One thread at a time.

    Attributes:
        stream: id of the stream.
        track: its track id.
        meter: counts its crops.
        looked_s: time of the newest look, or of a turn that it lost, on the stream's time line.
        seen_s: monotonic time at which it was seen last.
        due_s: monotonic time at which its turn came; None if it does not wait.
        looking: whether a crop is on its way.
        newest: its newest view while it waits, if that counts rather than the best one.
        attribute: what the second model says of it; None so far.
        told_s: time at which news of it were told last, on the stream's time line.
    """

    __slots__ = (
        "_told", "_votes", "attribute", "due_s", "looked_s", "looking", "meter", "newest",
        "seen_s", "stream", "told_s", "track",
    )  # fmt: skip

    def __init__(self, stream: str, track: int, meter: CropMeter) -> None:
        self.stream = stream
        self.track = track
        self.meter = meter
        self.looked_s = float("-inf")
        self.seen_s = 0.0
        self.due_s: float | None = None
        self.looking = False
        self.newest: Newest | None = None
        self.attribute: Attribute | None = None
        self.told_s = float("-inf")
        self._told: frozenset[str] = frozenset()
        self._votes = 0.0

    @property
    def is_news(self) -> bool:
        """Whether the second model says something else of it than was told last: other labels."""
        return self._labels() != self._told

    def may_tell(self, at_s: float) -> bool:
        """Return whether news may be told at this time on the stream's time line."""
        return at_s - self.told_s >= _TELL_S

    def tell(self, at_s: float) -> None:
        """Note that what the second model says of it was told."""
        self.told_s, self._told = at_s, self._labels()

    def see(self, at_s: float, now_s: float) -> None:
        """Note a frame of this time on the stream's time line, seen while it waits for its turn."""
        self.looked_s, self.seen_s = at_s, now_s

    def end_turn(self, now_s: float) -> None:
        """Note that it was looked at now, or lost its turn; it is not due for a while, even if unseen so far."""
        self.looked_s += now_s - self.seen_s
        self.due_s = self.newest = None

    def classified(self, result: Result, at: float) -> None:
        """Take a classifier's answer about a frame captured at this Unix time: it votes with its confidence."""
        found = result.detections
        if not len(found):
            return
        label, confidence = _label(result, 0), min(float(found.confidence[0]), 1.0)
        before = self.attribute
        if before is not None and before.label != label:
            self._votes -= confidence
            if self._votes >= 0:
                return
            self._votes = -self._votes
        else:
            self._votes = min(self._votes + confidence, _MOST_VOTES)
        self.attribute = Attribute(result.model.name, label, confidence, at)

    def searched(self, result: Result, at: float, origin_xy: tuple[int, int]) -> None:
        """Take a detector's answer; the newest that found something counts.

        Args:
            result: what it found in the crop, best first.
            at: Unix time at which the frame was captured.
            origin_xy: where in the frame the crop's image begins.
        """
        parts = tuple(_parts(result, origin_xy)[:_MOST_PARTS])
        if parts:
            self.attribute = Attribute(result.model.name, parts[0].label, parts[0].confidence, at, parts)

    def _labels(self) -> frozenset[str]:
        attribute = self.attribute
        if attribute is None:
            return frozenset()
        return frozenset([attribute.label, *(part.label for part in attribute.parts or ())])


def _parts(result: Result, origin_xy: tuple[int, int]) -> list[Part]:
    found, (left, top) = result.detections, origin_xy
    boxes = (found.xyxy + np.array([left, top, left, top], np.float32)).tolist()
    points = _points(found, origin_xy)
    return [
        Part(
            _label(result, number),
            min(float(found.confidence[number]), 1.0),
            (x1, y1, x2, y2),
            points[number],
        )
        for number, (x1, y1, x2, y2) in enumerate(boxes)
    ]


def _points(found: Detections, origin_xy: tuple[int, int]) -> list[tuple[tuple[float, float, float], ...]]:
    """Return the keypoints of each part; what overflowed in the model is 0, with confidence 0."""
    if found.keypoints is None:
        return [()] * len(found)
    moved = found.keypoints + np.array([*origin_xy, 0], np.float32)
    moved[~np.isfinite(moved).all(axis=2)] = 0
    return [tuple((x, y, confidence) for x, y, confidence in points) for points in moved.tolist()]


def _label(result: Result, number: int) -> str:
    labels, class_id = result.model.labels, int(result.detections.class_id[number])
    return labels[class_id] if class_id < len(labels) else str(class_id)
