"""What a stream's rules make of true objects, and how far the daemon's counts and tracks are from that."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.analytics.observations import Observation
from framelane.analytics.rules.engine import RuleEngine
from framelane.analytics.rules.reporter import Moment
from framelane.analytics.tracker import Tracker, Tuning
from framelane.core.events import Event
from framelane.measure.hota import Hota, TrackFrame, hota
from framelane.measure.rules.motfile import NO_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from framelane.analytics.rules.ruleset import RuleSet
    from framelane.measure.rules.motfile import TrueFrame

_EVERY_BOX = Tuning(unseen_s=math.inf, overlap=1e-9, buffered_overlap=1e-9, buffer=1e6)
"""Each true object is a stream of its own, whose one track takes every box."""


class TrueEvents:
    """Applies rules to the true objects of a clip.

    Args:
        rules: the stream's rules, by model key.
        truth: the true objects, by number of the frame.
    """

    def __init__(self, rules: Mapping[str, RuleSet], truth: Mapping[int, TrueFrame]) -> None:
        self._rules = rules
        self._truth = truth
        self._tracker = Tracker(_EVERY_BOX)
        self._engine = RuleEngine(self._tracker, "truth")
        self._last = {int(track): number for number, frame in truth.items() for track in frame.ids}
        self._labels: dict[int, tuple[RuleSet, int]] = {}
        self._open: set[int] = set()
        self.events: list[Event] = []
        """What has happened so far."""

    def frame(self, number: int, at_s: float, size_wh: tuple[int, int]) -> None:
        """Go on to the next frame: its number from 1, its time and its size in pixels."""
        there = self._truth.get(number, NO_OBJECTS)
        boxes = dict(zip(there.ids.tolist(), zip(there.xyxy, there.labels, strict=True), strict=True))
        self._open |= {track for track, (_, label) in boxes.items() if self._known(track, label)}
        if self._open:
            self._engine.update(
                self._tracker.update(
                    [self._seen(track, boxes.get(track), at_s, size_wh) for track in sorted(self._open)]
                )
            )
        for track in sorted(track for track in self._open if self._last[track] <= number):
            self._end(track)
        self.events += [each for each in self._engine.taken() if isinstance(each, Event)]

    def _known(self, track: int, label: str) -> bool:
        """Return whether objects of this kind are found at all."""
        for rules in self._rules.values():
            if label in rules.labels:
                self._labels[track] = rules, rules.labels.index(label)
                return True
        return False

    def _seen(
        self,
        track: int,
        there: tuple[NDArray[np.float32], str] | None,
        at_s: float,
        size_wh: tuple[int, int],
    ) -> Observation:
        rules, class_id = self._labels[track]
        name = str(track)
        self._engine.follow(name, rules, Moment(name, "truth", name, at_s, 0.0, "media", *size_wh))
        count = int(there is not None)
        xyxy = np.zeros((0, 4), np.float32) if there is None else there[0][None]
        return Observation(
            name,
            at_s,
            xyxy,
            np.ones(count, np.float32),
            np.full(count, class_id, np.int32),
            np.zeros(count, np.bool_),
        )

    def _end(self, track: int) -> None:
        self._open.discard(track)
        self._engine.remove(str(track), "left")


class FoundFrame(NamedTuple):
    """The tracks of an inferred frame: its number from 1, ids [N], corners [N, 4] and labels [N]."""

    number: int
    ids: NDArray[np.int64]
    xyxy: NDArray[np.float32]
    labels: tuple[str, ...]


def hota_by_label(truth: Mapping[int, TrueFrame], found: list[FoundFrame]) -> dict[str, Hota]:
    """Return HOTA of each label that is in the truth, over the inferred frames."""
    labels = sorted({label for frame in truth.values() for label in frame.labels})
    by_label: dict[str, Hota] = {}
    for label in labels:
        real, tracks = [], []
        for frame in found:
            there = truth.get(frame.number, NO_OBJECTS)
            real.append(_only(label, there.ids, there.xyxy, there.labels))
            tracks.append(_only(label, frame.ids, frame.xyxy, frame.labels))
        by_label[label] = hota(real, tracks)
    return by_label


def _only(
    label: str, ids: NDArray[np.int64], xyxy: NDArray[np.float32], labels: tuple[str, ...]
) -> TrackFrame:
    of_label = np.array([each == label for each in labels], np.bool_)
    return TrackFrame(ids[of_label], xyxy[of_label])
