"""Objects that cross lines.

An object is armed on one side of a line while its point is beyond the band there. It has crossed when its point is
beyond the band on the other side, in `min_boxes` boxes in a row, and a step from one point to the next crossed the line
that way. So jitter on the line counts nothing, an object that walks around an end counts nothing, and one that comes
back counts again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.analytics.rules.geometry import steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.analytics.rules.book import Rules
    from framelane.analytics.rules.pairs import Pairs
    from framelane.analytics.rules.state import RuleState

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Indices = NDArray[np.intp]


class Crossed(NamedTuple):
    """Crossings: which pairs, to which side (-1 left, 1 right) and when, each [C]."""

    pairs: Indices
    side: Floats
    at_s: Floats


def crossing(pairs: Pairs, state: RuleState) -> Flags:
    """Return which objects have crossed, but not in enough boxes yet: they count wherever they are [P]."""
    return state.boxes.flat.take(pairs.at) > 0


def forget(at: Indices, state: RuleState) -> None:
    """Disarm objects that are far from their lines. One that comes back is armed by the last point before.

    Args:
        at: positions in the state.
        state: what is remembered of each pair; changed.
    """
    state.side.flat[at] = 0


def observe(pairs: Pairs, rules: Rules, state: RuleState) -> Crossed:
    """Take the next points of objects, and return which of them have crossed.

    Args:
        pairs: of a line and an object near to it, or crossing it.
        rules: the lines.
        state: what is remembered of each pair; changed.
    """
    at, at_s, before_s = pairs.at, pairs.at_s, pairs.before_s
    linked = at_s - before_s <= rules.max_gap_s.take(pairs.rule)
    way = steps(pairs.x, pairs.y, rules.edges_of_lines(pairs.rule))
    beyond = way.distance > pairs.band
    lay, lies = way.side * beyond
    side = state.side.flat.take(at) * linked
    side = np.where(side == 0, lay * linked, side)
    led = state.led.flat.take(at) * linked
    if len(way.crossing):
        known = linked[way.crossing]
        stepped, share = way.crossing[known], way.share[known]
        led[stepped] = way.led[known]
        state.crossed_s.flat[at[stepped]] = before_s[stepped] + share * (at_s - before_s)[stepped]
    boxes = (state.boxes.flat.take(at) + 1) * ((side * lies < 0) & (led == lies))
    enough = boxes >= rules.min_boxes.take(pairs.rule)
    waits = (boxes > 0) & ~enough
    settled = beyond[1] & ~waits
    state.side.flat[at] = np.where(settled, lies, side)
    state.led.flat[at] = led * ~settled
    state.boxes.flat[at] = boxes * waits
    crossed = enough.nonzero()[0]
    return Crossed(crossed, lies[crossed], state.crossed_s.flat[at[crossed]])
