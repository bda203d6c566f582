"""Whether objects stand still, and when something is to be said about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.analytics.rules.book import Rules
    from framelane.analytics.rules.pairs import Measured
    from framelane.analytics.tracker import Tracker

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Indices = NDArray[np.intp]

_MOVED = 0.1
"""Share of its box by which a center must move to have moved."""


class Changes(NamedTuple):
    """Measured objects about which something is to be said, by index."""

    new: Indices
    updated: Indices


class ObjectState:
    """Columns of the table of tracks.

    Args:
        tracker: the tracker whose tracks these are.
    """

    def __init__(self, tracker: Tracker) -> None:
        table = tracker.table
        self._tracker = tracker
        self.box = table.column(np.float64, 4)
        """x1 y1 x2 y2 of the newest measured box, in pixels."""
        self.confidence = table.column(np.float64)
        """Of that box."""
        self.at_s = table.column(np.float64)
        """Time of that box; NaN before the first."""
        self.since_s = table.column(np.float64)
        """Time of the first box."""
        self.announced = table.column(np.bool_)
        """Whether it is an object: a track that has been seen twice."""
        self.stationary = table.column(np.bool_)
        """Whether it stands still."""
        self._still_at = table.column(np.float64, 2)
        self._still_since_s = table.column(np.float64)
        self._said_s = table.column(np.float64)

    def begin(self, row: Indices, place: Indices, at_s: Floats) -> None:
        """Begin with new tracks."""
        self.at_s.data[row, place] = np.nan
        self.since_s.data[row, place] = at_s
        self.announced.data[row, place] = False
        self.stationary.data[row, place] = False
        self._still_at.data[:, row, place] = self._tracker.center.data[:, row, place]
        self._still_since_s.data[row, place] = at_s

    def observe(self, measured: Measured, confidence: Floats, rules: Rules) -> Changes:
        """Take measured boxes, and return which objects are new, and which have begun or ceased to move, or are due."""
        at = measured.row, measured.place
        every = (slice(None), *at)
        center = self._tracker.center.data[every]
        size = measured.box[2:] - measured.box[:2]
        moved = (np.abs(center - self._still_at.data[every]) > _MOVED * size).any(axis=0)
        still_since_s = np.where(moved, measured.at_s, self._still_since_s.data[at])
        stationary = measured.at_s - still_since_s >= rules.still_s[measured.row]
        known = self.announced.data[at]
        new = (self._tracker.hits.data[at] > 1) & ~known
        changed = stationary != self.stationary.data[at]
        due = measured.at_s - self._said_s.data[at] >= rules.update_s[measured.row]
        self._still_at.data[every] = np.where(moved, center, self._still_at.data[every])
        self._still_since_s.data[at] = still_since_s
        self.stationary.data[at] = stationary
        self.announced.data[at] |= new
        self._tracker.limit_s.data[at] = np.where(
            stationary, np.maximum(rules.hold_s[measured.row], self._tracker.unseen_s), self._tracker.unseen_s
        )
        self.box.data[every] = measured.box
        self.confidence.data[at] = confidence
        self.at_s.data[at] = measured.at_s
        self.said(measured.row[new], measured.place[new], measured.at_s[new])
        return Changes(np.flatnonzero(new), np.flatnonzero(known & (changed | due)))

    def release(self, row: int) -> None:
        """Hold no track of a stream any longer than the tracker does by itself."""
        self._tracker.limit_s.data[row] = self._tracker.unseen_s

    def said(self, row: Indices | int, place: Indices | int, at_s: Floats | float) -> None:
        """Note that something was said about objects."""
        self._said_s.data[row, place] = at_s
