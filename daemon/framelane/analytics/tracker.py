"""Gives objects an identity that lasts from frame to frame, for all streams of one model.

Motion is constant velocity in seconds of the frames' own time, so frame rate and dropped frames change nothing. Like
ByteTrack (arXiv 2110.06864), tracks are continued with confident detections first and then with weak ones; like C-BIoU
(arXiv 2211.14317), those still unmatched are compared again with larger boxes, which grow with the time unseen. Last,
a detection of another class may continue a track that it covers: detectors confuse cars and trucks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from framelane.analytics.association import corners, matches, overlaps
from framelane.analytics.observations import Found, alike, padded
from framelane.analytics.table import TrackTable

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from framelane.analytics.observations import Observation

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_MOST_VOTES = 10.0
"""Most votes, as a sum of confidences, for an object's class: more would keep an early mistake too long."""

UNKNOWN = -1
"""The id of a detection that no track has, or whose track has been seen once only."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The tracker's parameters, the same for all streams.

    Attributes:
        most: most tracks per stream.
        unseen_s: seconds after which an unseen track ends, unless it is held.
        overlap: least IoU for a confident detection.
        weak_overlap: least IoU for a weak one, whose box is less sure.
        buffered_overlap: least IoU of enlarged boxes.
        buffer: by how much of its size a box is enlarged on each side.
        buffer_per_s: by how much more per second unseen.
        held_overlap: least IoU for a track that is held.
        other_overlap: least IoU for a detection of another class.
        position_gain: share of a measured position in the new one.
        velocity_s: seconds over which the velocity is averaged; boxes jitter more than objects turn.
    """

    most: int = 256
    unseen_s: float = 2.0
    overlap: float = 0.25
    weak_overlap: float = 0.45
    buffered_overlap: float = 0.2
    buffer: float = 0.3
    buffer_per_s: float = 0.3
    held_overlap: float = 0.5
    other_overlap: float = 0.7
    position_gain: float = 0.75
    velocity_s: float = 0.9


class Tracked(NamedTuple):
    """The outcome of a batch.

    Attributes:
        ids: for each observation the track id of each detection, int64 [N], or UNKNOWN.
        places: place of each detection's track in its stream's row of the table [R, D], or -1; R observations, D the
            most detections of one.
        rows: row of each observation's stream [R].
        at_s: time of each observation [R].
        found: the detections.
    """

    ids: list[Integers]
    places: NDArray[np.intp]
    rows: NDArray[np.intp]
    at_s: Floats
    found: Found


class TrackWatcher(Protocol):
    """Looks at tracks before they end."""

    def ending(self, rows: NDArray[np.intp], ending: NDArray[np.bool_]) -> None:
        """Look at tracks that end: ending[i, t] is true if the track at place t of rows[i] ends."""
        ...


class Tracker:
    """Tracks of all streams of one model. One thread at a time.

    Args:
        tuning: its parameters.
    """

    def __init__(self, tuning: Tuning | None = None) -> None:
        self._tuning = tuning = tuning or Tuning()
        self.table = table = TrackTable(tuning.most)
        """The tracks. Properties of others may be added to it; a new track has undefined values of them."""
        self.watcher: TrackWatcher | None = None
        self._ids: dict[Hashable, int] = {}
        self._capped: dict[Hashable, int] = {}
        self.center = table.column(np.float64, 2)
        """Smoothed center in pixels."""
        self.hits = table.column(np.int64)
        """How often it was measured; it is confirmed, and has an id, from the second time on."""
        self.at_s = table.column(np.float64)
        """Time of the newest measured box."""
        self.class_id = table.column(np.int64)
        """Class, by a vote of the measured boxes weighted by their confidence."""
        self.id = table.column(np.int64)
        """Track id, or UNKNOWN."""
        self.limit_s = table.column(np.float64)
        """Seconds after which it ends if unseen. More than `Tuning.unseen_s` holds it in its place."""
        self._size = table.column(np.float64, 2)
        self._velocity = table.column(np.float64, 2)
        self._votes = table.column(np.float64)

    @property
    def unseen_s(self) -> float:
        """Seconds after which an unseen track ends, unless it is held."""
        return self._tuning.unseen_s

    def tracks(self, stream: Hashable) -> int:
        """Return how many tracks of a stream are open."""
        row = self.table.find(stream)
        return 0 if row is None else int(self.table.counts[row])

    def capped(self, stream: Hashable) -> int:
        """Return how many objects of a stream were not tracked because there were too many."""
        return self._capped.get(stream, 0)

    def end(self, stream: Hashable) -> None:
        """End all tracks of a stream, because its camera was opened again; ids go on."""
        row = self.table.find(stream)
        if row is None:
            return
        if self.watcher is not None and self.table.counts[row]:
            self.watcher.ending(np.array([row]), np.ones((1, int(self.table.counts[row])), np.bool_))
        self.table.counts[row] = 0

    def remove(self, stream: Hashable) -> None:
        """End all tracks of a stream that has left, and free its row. If it returns, its ids go on."""
        self.end(stream)
        self.table.remove(stream)
        self._capped.pop(stream, None)

    def update(self, batch: Sequence[Observation]) -> Tracked:
        """Continue tracks with one frame of each of several streams.

        Args:
            batch: observations of different streams.
        """
        table = self.table
        rows = np.array([table.row(each.stream) for each in batch], np.intp)
        counts = np.array([len(each.xyxy) for each in batch], np.intp)
        at_s = np.array([each.at_s for each in batch])
        most_found = int(counts.max(initial=0))
        places = np.full((len(batch), most_found), -1, np.intp)
        ids = np.full((len(batch), most_found), UNKNOWN, np.int64)
        found = padded(batch, most_found)
        for some in alike(np.maximum(counts, table.counts[rows])):
            wide = int(counts[some].max(initial=0))
            own_places, own_ids = places[some, :wide], ids[some, :wide]
            own_found = Found._make(each[..., some, :wide] for each in found)
            self._follow(rows[some], at_s[some], own_found, counts[some], own_places, own_ids)
            places[some, :wide], ids[some, :wide] = own_places, own_ids
        each_ids = [some[:count] for some, count in zip(ids, counts.tolist(), strict=True)]
        return Tracked(each_ids, places, rows, at_s, found)

    def _follow(
        self,
        rows: NDArray[np.intp],
        at_s: Floats,
        found: Found,
        counts: NDArray[np.intp],
        places: NDArray[np.intp],
        ids: Integers,
    ) -> None:
        """Continue, end and begin the tracks of some streams."""
        most_tracks, most_found = int(self.table.counts[rows].max(initial=0)), places.shape[1]
        taken = np.arange(most_found) >= counts[:, None]
        if most_tracks:
            self._continue(rows, at_s, found, taken, most_tracks, places, ids)
            self._drop(rows, at_s, most_tracks, places)
        if most_found:
            self._begin(rows, at_s, found, found.weak | taken, places)

    def _continue(
        self,
        rows: NDArray[np.intp],
        at_s: Floats,
        found: Found,
        taken: NDArray[np.bool_],
        most: int,
        places: NDArray[np.intp],
        ids: Integers,
    ) -> None:
        tuning = self._tuning
        unseen_s = np.maximum(at_s[:, None] - self.at_s.data[rows, :most], 1e-6)
        held = unseen_s > tuning.unseen_s
        center = self.center.data[:, rows, :most] + self._velocity.data[:, rows, :most] * np.where(
            held, 0.0, unseen_s
        )
        size = self._size.data[:, rows, :most]
        found_center, found_size = (found.xyxy[:2] + found.xyxy[2:]) / 2, found.xyxy[2:] - found.xyxy[:2]
        same = self.class_id.data[rows, :most, None] == found.class_id[:, None]
        overlap = overlaps(corners(center, size), found.xyxy)
        alike = overlap * same
        if held.any():
            alike[held] *= alike[held] >= tuning.held_overlap
        open_ = np.arange(most) < self.table.counts[rows][:, None]
        known = self.hits.data[rows, :most] > 1
        steps: tuple[tuple[Floats | None, float, NDArray[np.bool_] | None, bool], ...] = (
            (alike, tuning.overlap, None, False),
            (alike, tuning.weak_overlap, known & ~held, True),
            (None, tuning.buffered_overlap, ~held, False),
            (overlap, tuning.other_overlap, known & ~held, False),
        )
        for score, least, only, of_weak in steps:
            tracks = open_ if only is None else open_ & only
            detections = (found.weak if of_weak else ~found.weak) & ~taken
            both = tracks.any(axis=1) & detections.any(axis=1)
            if not both.any():
                continue
            if score is None:
                grown = size * (1 + 2 * (tuning.buffer + tuning.buffer_per_s * unseen_s))
                grown_found = corners(found_center, found_size * (1 + 2 * tuning.buffer))
                score = overlaps(corners(center, grown), grown_found) * same  # noqa: PLW2901 - made when needed
            row, track, detection = matches(score * (tracks[:, :, None] & detections[:, None]), least)
            if not len(row):
                continue
            open_[row, track] = False
            taken[row, detection] = True
            places[row, detection] = track
            at = self.table.at(rows.take(row), track)
            seen = row * found.class_id.shape[1] + detection
            self._measure(
                at,
                at_s.take(row),
                center.reshape(2, -1).take(row * most + track, axis=1),
                found_center.reshape(2, -1).take(seen, axis=1),
                found_size.reshape(2, -1).take(seen, axis=1),
            )
            self._vote(at, found.class_id.take(seen), found.confidence.take(seen))
            ids[row, detection] = self.id.flat.take(at)

    def _measure(
        self, at: NDArray[np.intp], at_s: Floats, predicted: Floats, center: Floats, size: Floats
    ) -> None:
        """Take measured boxes into their tracks, given by their positions in the table."""
        tuning = self._tuning
        passed_s = np.maximum(at_s - self.at_s.flat.take(at), 1e-6)
        hits = self.hits.flat.take(at)
        first = hits == 1
        error = center - predicted
        velocity, smoothed = (column.by_track.take(at, axis=1) for column in (self._velocity, self._size))
        gain = np.where(first, 1.0, -np.expm1(-passed_s / tuning.velocity_s))
        self._velocity.put(at, velocity + gain * error / passed_s)
        self.center.put(at, predicted + np.where(first, 1.0, tuning.position_gain) * error)
        self._size.put(at, smoothed + tuning.position_gain * (size - smoothed))
        self.at_s.flat[at] = at_s
        self.hits.flat[at] = hits + 1
        # Confirmed: seen twice.
        for each in at[first].tolist():
            stream = self.table.stream(self.table.row_at(each))
            self.id.flat[each] = self._ids[stream] = self._ids.get(stream, 0) + 1

    def _vote(self, at: NDArray[np.intp], class_id: Integers, confidence: Floats) -> None:
        """Let boxes vote on their tracks' classes: one that is outvoted gives way (Boyer and Moore, weighted)."""
        agree = self.class_id.flat.take(at) == class_id
        votes = self._votes.flat.take(at) + np.where(agree, confidence, -confidence)
        outvoted = votes < 0.0
        if outvoted.any():
            self.class_id.flat[at[outvoted]] = class_id[outvoted]
            votes = np.abs(votes)
        self._votes.flat[at] = np.minimum(votes, _MOST_VOTES)

    def _drop(self, rows: NDArray[np.intp], at_s: Floats, most: int, places: NDArray[np.intp]) -> None:
        """End tracks that were unseen for too long, and those that were seen only once."""
        unseen_s = at_s[:, None] - self.at_s.data[rows, :most]
        open_ = np.arange(most) < self.table.counts[rows][:, None]
        in_time = unseen_s <= self.limit_s.data[rows, :most]
        kept = open_ & in_time & ((self.hits.data[rows, :most] > 1) | (unseen_s <= 0.0))
        if self.watcher is not None and (ending := open_ & ~kept).any():
            self.watcher.ending(rows, ending)
        moved = self.table.keep(rows, kept)
        if moved is not None:
            row, detection = np.nonzero(places >= 0)
            places[row, detection] = moved[row, places[row, detection]]

    def _begin(
        self,
        rows: NDArray[np.intp],
        at_s: Floats,
        found: Found,
        without: NDArray[np.bool_],
        places: NDArray[np.intp],
    ) -> None:
        """Begin tracks with detections that continue no other; they have no id until they are seen again."""
        index, detection = np.nonzero(~without)
        if not len(index):
            return
        place, fits = self.table.append(rows, index)
        for each, count in zip(*np.unique(index[~fits], return_counts=True), strict=True):
            stream = self.table.stream(int(rows[each]))
            self._capped[stream] = self._capped.get(stream, 0) + int(count)
        index, detection, place = index[fits], detection[fits], place[fits]
        row = rows[index]
        boxes = found.xyxy[:, index, detection]
        self.center.data[:, row, place] = (boxes[:2] + boxes[2:]) / 2
        self._size.data[:, row, place] = boxes[2:] - boxes[:2]
        self._velocity.data[:, row, place] = 0.0
        self.at_s.data[row, place] = at_s[index]
        self.hits.data[row, place] = 1
        self.class_id.data[row, place] = found.class_id[index, detection]
        self._votes.data[row, place] = found.confidence[index, detection]
        self.limit_s.data[row, place] = self._tuning.unseen_s
        self.id.data[row, place] = UNKNOWN
        places[index, detection] = place
