"""Trackers on the same detections: Framelane's with its rules, and rivals if they are installed."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.analytics.observations import Observation
from framelane.analytics.rules.engine import RuleEngine
from framelane.analytics.rules.reporter import Moment
from framelane.analytics.rules.ruleset import RuleSet
from framelane.analytics.tracker import Tracker
from framelane.config.sections.rules import EventsConfig, LineConfig
from framelane.core.events import Event
from framelane.measure.hota import TrackFrame
from lab.tracks.footage import Crossing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lab.tracks.footage import Footage

    Floats = NDArray[np.float64]

_UNSEEN_S = 2.0
"""How long every tracker remembers an unseen object."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a tracker made of a clip.

    Attributes:
        frames: its tracks per frame.
        crossings: what Framelane's rules counted; empty for other trackers.
        us: microseconds of CPU per frame.
    """

    frames: list[TrackFrame]
    crossings: list[Crossing]
    us: float


def framelane(footage: Footage, min_boxes: int = 1) -> Run:
    """Run Framelane's tracker and the footage's lines, with this option of theirs."""
    tracker = Tracker()
    engine = RuleEngine(tracker, "model")
    rules, size = _rules(footage, min_boxes), footage.size_wh
    frames, crossings, spent_s = [], [], 0.0
    for number, found in enumerate(footage.found):
        at_s, strong = number / footage.fps, found[:, 4] >= footage.confidence
        boxes = found.astype(np.float32)
        seen = Observation("clip", at_s, boxes[:, :4], boxes[:, 4], found[:, 5].astype(np.int32), ~strong)
        engine.follow("clip", rules, Moment("clip", "run", "clip", at_s, 0.0, "media", *size))
        began_s = time.thread_time()
        tracked = tracker.update([seen])
        spent_s += time.thread_time() - began_s
        engine.update(tracked)
        shown = (tracked.ids[0] > 0) & strong
        frames.append(TrackFrame(tracked.ids[0][shown], found[shown, :4]))
        crossings += [_crossing(each) for each in engine.taken() if isinstance(each, Event) and each.rule]
    return Run(frames, crossings, spent_s / len(footage.found) * 1e6)


def true_tracks(footage: Footage, min_boxes: int = 1) -> Run:
    """Run the footage's lines on the true boxes, with a tracker of their own."""
    perfect = [np.c_[frame[:, :4], np.ones(len(frame)), frame[:, 5]] for frame in footage.truth]
    return framelane(footage.with_found(perfect), min_boxes)


def _rules(footage: Footage, min_boxes: int) -> RuleSet:
    shares = np.clip(footage.lines / footage.size_wh, 0, 1).tolist()
    lines = {str(n): LineConfig(points=points, min_boxes=min_boxes) for n, points in enumerate(shares)}
    return RuleSet.of(lines, {}, EventsConfig(objects=False), footage.labels)


def _crossing(event: Event) -> Crossing:
    return Crossing(int(event.rule or 0), -1 if event.direction == "left" else 1, event.at)


def _timed(footage: Footage, update: Callable[[Floats], TrackFrame]) -> Run:
    frames, spent_s = [], 0.0
    for found in footage.found:
        began_s = time.thread_time()
        frame = update(found)
        spent_s += time.thread_time() - began_s
        frames.append(frame)
    return Run(frames, [], spent_s / len(footage.found) * 1e6)


def pyxtrackers_byte(footage: Footage) -> Run:
    """Run pyxtrackers' ByteTrack."""
    from pyxtrackers import BYTETracker  # noqa: PLC0415 - a rival, not a dependency

    tracker = BYTETracker(
        track_thresh=footage.confidence,
        track_buffer=round(_UNSEEN_S * footage.fps),
        match_thresh=0.8,
        frame_rate=round(footage.fps),
    )

    def update(found: Floats) -> TrackFrame:
        rows = np.asarray(tracker.update(np.ascontiguousarray(found[:, :5]))).reshape(-1, 5)
        return TrackFrame(rows[:, 4].astype(np.int64), rows[:, :4])

    return _timed(footage, update)


def trackforge_byte(footage: Footage) -> Run:
    """Run trackforge's ByteTrack."""
    from trackforge import BYTETRACK  # noqa: PLC0415 - a rival, not a dependency

    tracker = BYTETRACK(footage.confidence, round(_UNSEEN_S * footage.fps), 0.8, footage.confidence)

    def update(found: Floats) -> TrackFrame:
        sizes = np.c_[found[:, :2], found[:, 2:4] - found[:, :2]].tolist()
        rows = [
            (box, score, int(kind))
            for box, score, kind in zip(sizes, found[:, 4].tolist(), found[:, 5], strict=True)
        ]
        tracks = tracker.update(rows)
        boxes = np.array([each[1] for each in tracks]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return TrackFrame(np.array([each[0] for each in tracks], np.int64), boxes)

    return _timed(footage, update)


def roboflow_byte(footage: Footage) -> Run:
    """Run ByteTrack of roboflow's `trackers`."""
    from trackers import ByteTrackTracker  # noqa: PLC0415 - a rival, not a dependency

    return _roboflow(
        footage,
        ByteTrackTracker(
            lost_track_buffer=round(_UNSEEN_S * 30),
            frame_rate=footage.fps,
            track_activation_threshold=footage.confidence,
            high_conf_det_threshold=footage.confidence,
        ),
    )


def roboflow_cbiou(footage: Footage) -> Run:
    """Run C-BIoU of roboflow's `trackers`."""
    from trackers import CBIoUTracker  # noqa: PLC0415 - a rival, not a dependency

    return _roboflow(
        footage,
        CBIoUTracker(
            lost_track_buffer=round(_UNSEEN_S * 30),
            frame_rate=footage.fps,
            track_activation_threshold=footage.confidence,
            high_conf_det_threshold=footage.confidence,
        ),
    )


def _roboflow(footage: Footage, tracker: object) -> Run:
    import supervision  # noqa: PLC0415 - of a rival

    def update(found: Floats) -> TrackFrame:
        seen = supervision.Detections(found[:, :4], None, found[:, 4], found[:, 5].astype(int))
        tracked = tracker.update(seen)  # type: ignore[attr-defined]
        known = tracked.tracker_id >= 0
        return TrackFrame(tracked.tracker_id[known].astype(np.int64), tracked.xyxy[known])

    return _timed(footage, update)


# By name; each needs the package that is named with it.
RIVALS: dict[str, tuple[str, Callable[[Footage], Run]]] = {
    "pyxtrackers ByteTrack": ("pyxtrackers", pyxtrackers_byte),
    "trackforge ByteTrack": ("trackforge", trackforge_byte),
    "roboflow trackers ByteTrack": ("trackers", roboflow_byte),
    "roboflow trackers C-BIoU": ("trackers", roboflow_cbiou),
}


def installed() -> dict[str, Callable[[Footage], Run]]:
    """Return the rivals whose packages are installed."""
    return {name: run for name, (package, run) in RIVALS.items() if importlib.util.find_spec(package)}
