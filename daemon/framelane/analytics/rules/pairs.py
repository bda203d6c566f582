"""Pairs of an object and a rule that it may be near to.

Few objects are near to a rule at any time. So all pairs are compared by the rectangle around the object's newest two
boxes and that around the rule, and only what is left is looked at closely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.analytics.rules.book import Rules
    from framelane.analytics.rules.state import RuleState

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
_ROUNDING_PX = 1e-6


class Measured(NamedTuple):
    """Objects that a batch has measured, M of them.

    Attributes:
        seen: place of the detection among all of the batch, padded: observation times D plus detection [M].
        row: row in the table of tracks [M].
        place: place in the row [M].
        at: position in the table [M].
        at_s: time of the frame [M].
        boxes: x1 y1 x2 y2 in pixels of the box before and of this one [2, 4, M].
        sizes: their widths and heights [2, 2, M].
        confidence: of this box [M].
        class_id: voted class [M].
        hits: how often it was measured [M].
        before_s: time of the box before; NaN if there is none [M].
    """

    seen: Indices
    row: Indices
    place: Indices
    at: Indices
    at_s: Floats
    boxes: Floats
    sizes: Floats
    confidence: Floats
    class_id: NDArray[np.int64]
    hits: NDArray[np.int64]
    before_s: Floats


class Pairs:
    """Pairs of an object and a rule, P of them; lengths are in pixels, times in seconds.

    They lie in two arrays, so that some of the pairs are taken in two calls.

    Args:
        keys: object, number, rule and at [4, P].
        values: at_s, before_s, band, x and y [7, P].

    Attributes:
        object: index of the measured object [P].
        number: index of the rule among those of its stream [P].
        rule: index of the rule among all [P].
        at: position in the state of rules [P].
        at_s: time of the frame [P].
        before_s: time of the point before; NaN if there is none [P].
        band: distance within which the point may be on either side, because boxes jitter [P].
        x: of the point before and of the point that counts now [2, P].
        y: likewise [2, P].
    """

    __slots__ = (
        "_keys",
        "_values",
        "at",
        "at_s",
        "band",
        "before_s",
        "number",
        "object",
        "rule",
        "x",
        "y",
    )

    def __init__(self, keys: Indices, values: Floats) -> None:
        self._keys, self._values = keys, values
        self.object: Indices
        self.number: Indices
        self.rule: Indices
        self.at: Indices
        self.object, self.number, self.rule, self.at = keys
        self.at_s: Floats
        self.before_s: Floats
        self.band: Floats
        self.at_s, self.before_s, self.band = values[:3]
        self.x: Floats = values[3:5]
        self.y: Floats = values[5:]

    def __len__(self) -> int:
        return len(self.rule)

    def select(self, keep: Indices) -> Pairs:
        """Return some of the pairs."""
        return Pairs(self._keys.take(keep, axis=1), self._values.take(keep, axis=1))


def candidates(measured: Measured, rules: Rules, state: RuleState) -> Pairs:
    """Return the pairs of a measured object and a rule of its stream that counts objects of its class, and may be near.

    All pairs that have a state are among them.
    """
    boxes, sizes = measured.boxes, measured.sizes
    band = np.maximum(sizes[1, 0] * _BAND_SHARE, _LEAST_BAND_PX)
    margin = band * _NEAR_BANDS + _ROUNDING_PX
    # fmin and fmax ignore the NaN of a box before that there is not.
    left, top = np.fmin(boxes[0, :2], boxes[1, :2]) - margin
    right, bottom = np.fmax(boxes[0, 2:], boxes[1, 2:]) + margin
    rule_left, rule_top, rule_right, rule_bottom = rules.boxes.take(measured.row, axis=2)
    close = rule_right >= left
    close &= rule_left <= right
    close &= rule_bottom >= top
    close &= rule_top <= bottom
    close |= state.known(measured.at, len(close))
    close &= rules.allows(measured.row, measured.class_id)
    # Object by object, so that events come in that order.
    found = close.T.ravel().nonzero()[0]
    each = found // len(close)
    number = found - each * len(close)
    keys = np.empty((4, len(each)), np.intp)
    keys[0], keys[1] = each, number
    keys[2] = rules.start.take(measured.row).take(each) + number
    keys[3] = state.at(number, measured.at.take(each))
    values = _points(measured, band).take(each, axis=1)
    values[5:7] += rules.anchor.take(keys[2]) * values[7:]
    return Pairs(keys, values[:7])


def _points(measured: Measured, band: Floats) -> Floats:
    """Return at_s, before_s, band, x, and the centers (y) and heights of the two boxes [9, M]."""
    middle = (measured.boxes[:, :2] + measured.boxes[:, 2:]) / 2
    values = np.empty((9, len(band)))
    values[0], values[1], values[2] = measured.at_s, measured.before_s, band
    values[3:5], values[5:7], values[7:] = middle[:, 0], middle[:, 1], measured.sizes[:, 1]
    return values


def near(pairs: Pairs, rules: Rules) -> Flags:
    """Return whether the step from the point before may touch the band around the rule's rectangle, or nearly [P]."""
    margin = pairs.band * _NEAR_BANDS
    left, top, right, bottom = rules.box.take(pairs.rule, axis=1)
    x, y = pairs.x, pairs.y
    close: Flags = np.fmin(x[0], x[1]) - margin <= right
    close &= np.fmax(x[0], x[1]) + margin >= left
    close &= np.fmin(y[0], y[1]) - margin <= bottom
    close &= np.fmax(y[0], y[1]) + margin >= top
    return close
