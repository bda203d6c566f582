"""Objects that are in zones.

An object is in once it has been inside for `enter_s` in at least two frames, and out once it has been beyond the band
around the zone, or unseen, for `exit_s`. Entry counts from the first box inside, exit from the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.analytics.rules.geometry import distance, inside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.analytics.rules.book import Rules
    from framelane.analytics.rules.pairs import Pairs
    from framelane.analytics.rules.state import RuleState

    Flags = NDArray[np.bool_]
    Indices = NDArray[np.intp]

OUT, COMING, IN = 0, 1, 2
_LEAST_BOXES = 2


class Visits(NamedTuple):
    """Pairs whose object has entered or begun to loiter, by index."""

    entered: Indices
    loitering: Indices


def observe(pairs: Pairs, rules: Rules, state: RuleState) -> Visits:
    """Take the next points of objects, and return which of them have entered or begun to loiter.

    Args:
        pairs: of a zone and an object near to it, or known to be in it or coming.
        rules: the zones.
        state: what is remembered of each pair; changed.
    """
    at, at_s = pairs.at, pairs.at_s
    phase = state.phase.flat.take(at)
    within, around = _lie(pairs, phase, rules)
    begins = within & (phase == OUT)
    first_s = np.where(begins, at_s, state.first_s.flat.take(at))
    boxes = np.where(begins, 0, state.boxes.flat.take(at)) + within
    stays_s = at_s - first_s
    was_in = phase == IN
    entered = within & ~was_in & (boxes >= _LEAST_BOXES) & (stays_s >= rules.enter_s.take(pairs.rule))
    phase[begins] = COMING
    phase[~was_in & ~around] = OUT
    phase[entered] = IN
    loitered = state.loitered.flat.take(at) & ~entered
    loiters = within & (was_in | entered) & ~loitered & (stays_s >= rules.loiter_s.take(pairs.rule))
    state.phase.flat[at] = phase
    state.first_s.flat[at] = first_s
    state.boxes.flat[at] = boxes
    state.last_s.flat[at[within]] = at_s[within]
    state.around_s.flat[at[around]] = at_s[around]
    state.loitered.flat[at] = loitered | loiters
    return Visits(entered.nonzero()[0], loiters.nonzero()[0])


def _lie(pairs: Pairs, phase: NDArray[np.int8], rules: Rules) -> tuple[Flags, Flags]:
    """Return whether objects are inside, and inside or within the band; the latter is false if nothing is known."""
    x, y = pairs.x[1], pairs.y[1]
    edges = rules.edges_of_zones(pairs.rule)
    within = inside(x, y, edges)
    outside = (~within & (phase != OUT)).nonzero()[0]
    if not len(outside):
        return within, within
    around = within.copy()
    some = rules.edges_of_zones(pairs.rule[outside])
    around[outside] = distance(x[outside], y[outside], some) <= pairs.band[outside]
    return within, around


def overdue(
    rows: Indices, at_s: NDArray[np.float64], most: int, rules: Rules, state: RuleState
) -> list[tuple[int, int, int]]:
    """Return which objects have been outside or unseen for long enough to be out, as rule, index in `rows` and place.

    Args:
        rows: rows of the table [R].
        at_s: time of each row's newest frame [R].
        most: places to look at in each row; some may have no object.
        rules: the rules.
        state: what is remembered of each pair.
    """
    phase = state.phase.data[: len(rules.exit_s), rows, :most]
    known = (phase != OUT).ravel().nonzero()[0]
    if not len(known):
        return []
    number, index, place = np.unravel_index(known, phase.shape)
    row = rows.take(index)
    gone_s = at_s.take(index) - state.around_s.data[number, row, place]
    out = (gone_s >= rules.exit_s[number, row]).nonzero()[0]
    return list(zip(*(each[out].tolist() for each in (number, index, place)), strict=True))
