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

    def begin(self, at: Indices, at_s: Floats) -> None:
        """Begin with new tracks, given by their positions in the table [N]."""
        self.at_s.flat[at] = np.nan
        self.since_s.flat[at] = at_s
        self.announced.flat[at] = False
        self.stationary.flat[at] = False
        self._still_at.put(at, self._tracker.center.by_track.take(at, axis=1))
        self._still_since_s.flat[at] = at_s

    def observe(self, measured: Measured, rules: Rules) -> Changes:
        """Take measured boxes, and return which objects are new, and which have begun or ceased to move, or are due."""
        at, at_s = measured.at, measured.at_s
        still_s, hold_s, update_s = rules.options.take(measured.row, axis=1)
        stationary = at_s - self._still_since(measured) >= still_s
        changed = stationary != self.stationary.flat.take(at)
        self.stationary.flat[at] = stationary
        unseen_s = self._tracker.unseen_s
        self._tracker.limit_s.flat[at] = np.where(stationary, np.maximum(hold_s, unseen_s), unseen_s)
        known = self.announced.flat.take(at)
        due = at_s - self._said_s.flat.take(at) >= update_s
        new = ((measured.hits > 1) & ~known).nonzero()[0]
        if len(new):
            self.announced.flat[at[new]] = True
            self._said_s.flat[at[new]] = at_s[new]
        self.box.put(at, measured.boxes[1])
        self.confidence.flat[at] = measured.confidence
        self.at_s.flat[at] = at_s
        return Changes(new, (known & (changed | due)).nonzero()[0])

    def release(self, row: int) -> None:
        """Hold no track of a stream any longer than the tracker does by itself."""
        self._tracker.limit_s.data[row] = self._tracker.unseen_s

    def _still_since(self, measured: Measured) -> Floats:
        """Return since when objects have not moved [M]."""
        at = measured.at
        center = self._tracker.center.by_track.take(at, axis=1)
        apart = np.abs(center - self._still_at.by_track.take(at, axis=1)) > _MOVED * measured.sizes[1]
        moved = (apart[0] | apart[1]).nonzero()[0]
        if len(moved):
            self._still_at.put(at[moved], center[:, moved])
            self._still_since_s.flat[at[moved]] = measured.at_s[moved]
        since_s: Floats = self._still_since_s.flat.take(at)
        return since_s

    def said(self, row: int, place: int, at_s: float) -> None:
        """Note that something was said about an object."""
        self._said_s.data[row, place] = at_s
