"""Pairs of an object and a rule that it may be near to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.analytics.rules.book import Rules

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Flags = NDArray[np.bool_]

_LEAST_BAND_PX = 4.0
_BAND_SHARE = 0.15
"""Of a box's width: boxes jitter in proportion to their size."""
_NEAR_BANDS = 2.0
"""Bands around a rule's rectangle within which an object is near.

The band changes from box to box, as the width does. With one band, an object that a narrower box has just put beyond it
would be taken for one that is far, and forgotten in the middle of a crossing.
"""


class Measured(NamedTuple):
    """Objects that a batch has measured, M of them.

    Attributes:
        row: row in the table of tracks [M].
        place: place in the row [M].
        at_s: time of the frame [M].
        box: x1 y1 x2 y2 in pixels [4, M].
        class_id: voted class [M].
        before_s: time of the box before; NaN if there is none [M].
        before: that box [4, M].
    """

    row: Indices
    place: Indices
    at_s: Floats
    box: Floats
    class_id: NDArray[np.int64]
    before_s: Floats
    before: Floats


class Pairs(NamedTuple):
    """Pairs of an object and a rule, P of them; lengths are in pixels.

    Attributes:
        rule: index of the rule among all [P].
        number: index of the rule among those of its stream [P].
        row: row of the object in the table of tracks [P].
        place: place of the object in its row [P].
        at_s: time of the frame [P].
        x: of the point that counts [P].
        y: likewise [P].
        before_s: time of the point before; NaN if there is none [P].
        before_x: the point before [P].
        before_y: likewise [P].
        band: distance within which the point may be on either side, because boxes jitter [P].
    """

    rule: Indices
    number: Indices
    row: Indices
    place: Indices
    at_s: Floats
    x: Floats
    y: Floats
    before_s: Floats
    before_x: Floats
    before_y: Floats
    band: Floats

    def key(self, index: int) -> tuple[int, int, int]:
        """Return row, place and number of a pair."""
        return int(self.row[index]), int(self.place[index]), int(self.number[index])

    def select(self, keep: Flags | Indices) -> Pairs:
        """Return some of the pairs."""
        return Pairs._make(each[keep] for each in self)


def pairs_of(measured: Measured, rules: Rules) -> Pairs:
    """Return all pairs of a measured object and a rule of its stream that counts objects of its class."""
    counts = rules.counts[measured.row]
    first = np.cumsum(counts) - counts
    index = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(index)) - first[index]
    rule = rules.start[measured.row[index]] + number
    allowed = rules.allowed[rule, np.minimum(measured.class_id[index], rules.allowed.shape[1] - 1)]
    index, number, rule = index[allowed], number[allowed], rule[allowed]
    anchor = rules.anchor[rule]
    x, y = _point(measured.box[:, index], anchor)
    before_x, before_y = _point(measured.before[:, index], anchor)
    width = measured.box[2, index] - measured.box[0, index]
    return Pairs(
        rule,
        number,
        measured.row[index],
        measured.place[index],
        measured.at_s[index],
        x,
        y,
        measured.before_s[index],
        before_x,
        before_y,
        np.maximum(width * _BAND_SHARE, _LEAST_BAND_PX),
    )


def near(pairs: Pairs, rules: Rules) -> Flags:
    """Return whether the step from the point before may touch the band around the rule's rectangle, or nearly [P]."""
    margin = pairs.band * _NEAR_BANDS
    left, top, right, bottom = rules.box[:, pairs.rule]
    # fmin and fmax ignore the NaN of a point before that there is not.
    close: Flags = (
        (np.fmin(pairs.x, pairs.before_x) - margin <= right)
        & (np.fmax(pairs.x, pairs.before_x) + margin >= left)
        & (np.fmin(pairs.y, pairs.before_y) - margin <= bottom)
        & (np.fmax(pairs.y, pairs.before_y) + margin >= top)
    )
    return close


def _point(box: Floats, anchor: Floats) -> tuple[Floats, Floats]:
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2 + anchor * (bottom - top)
