"""Objects that cross lines.

An object is armed on one side of a line while its point is beyond the band there. It has crossed when its point is
beyond the band on the other side and a step from one point to the next crossed the line that way. So jitter on the line
counts nothing, an object that walks around an end counts nothing, and one that comes back counts again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.analytics.rules.geometry import crossings, nearness

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.analytics.rules.book import Rules
    from framelane.analytics.rules.pairs import Pairs
    from framelane.analytics.rules.state import RuleState

    Floats = NDArray[np.float64]


class Crossed(NamedTuple):
    """Crossings: which pairs, to which side (-1 left, 1 right) and when, each [C]."""

    pairs: NDArray[np.intp]
    side: Floats
    at_s: Floats


def forget(pairs: Pairs, state: RuleState) -> None:
    """Disarm objects that are far from their lines. One that comes back is armed by the last point before."""
    state.side.data[pairs.number, pairs.row, pairs.place] = 0


def observe(pairs: Pairs, rules: Rules, state: RuleState) -> Crossed:
    """Take the next points of objects, and return which of them have crossed.

    Args:
        pairs: of a line and an object near to it.
        rules: the lines.
        state: what is remembered of each pair; changed.
    """
    at = pairs.number, pairs.row, pairs.place
    edges = rules.edges_of(pairs.rule)
    linked = pairs.at_s - pairs.before_s <= rules.max_gap_s[pairs.rule]
    side = np.where(linked, state.side.data[at], 0)
    arming = np.flatnonzero(linked & (side == 0))
    if len(arming):
        some = pairs.select(arming)
        lay = nearness(some.before_x, some.before_y, rules.edges_of(some.rule))
        side[arming] = np.where(lay.distance > some.band, lay.side, 0)
    lies = nearness(pairs.x, pairs.y, edges)
    beyond = lies.distance > pairs.band
    step = crossings(pairs.before_x, pairs.before_y, pairs.x, pairs.y, edges)
    stepped = linked & ~np.isnan(step.share)
    led = np.where(stepped, step.side, np.where(linked, state.led.data[at], 0))
    step_s = pairs.before_s + step.share * (pairs.at_s - pairs.before_s)
    crossed_s = np.where(stepped, step_s, state.crossed_s.data[at])
    crossed = np.flatnonzero((side != 0) & beyond & (lies.side == -side) & (led == lies.side))
    state.side.data[at] = np.where(beyond, lies.side, side)
    state.led.data[at] = np.where(beyond, 0, led)
    state.crossed_s.data[at] = crossed_s
    return Crossed(crossed, lies.side[crossed], crossed_s[crossed])
