"""Objects that are in zones.

An object is in once it has been inside for `enter_s` in at least two frames, and out once it has been beyond the band
around the zone, or unseen, for `exit_s`. Entry counts from the first box inside, exit from the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.analytics.rules.geometry import inside, nearness

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


def known(pairs: Pairs, state: RuleState) -> Flags:
    """Return whether an object is in its zone or coming [P]."""
    phase: Flags = state.phase.data[pairs.number, pairs.row, pairs.place] != OUT
    return phase


def observe(pairs: Pairs, rules: Rules, state: RuleState) -> Visits:
    """Take the next points of objects, and return which of them have entered or begun to loiter.

    Args:
        pairs: of a zone and an object near to it, or known to be in it or coming.
        rules: the zones.
        state: what is remembered of each pair; changed.
    """
    at = pairs.number, pairs.row, pairs.place
    within = inside(pairs.x, pairs.y, rules.edges_of(pairs.rule))
    phase = state.phase.data[at]
    around = within.copy()
    outside = np.flatnonzero(~within & (phase != OUT))
    if len(outside):
        some = pairs.select(outside)
        around[outside] = nearness(some.x, some.y, rules.edges_of(some.rule)).distance <= some.band
    begins = within & (phase == OUT)
    first_s = np.where(begins, pairs.at_s, state.first_s.data[at])
    boxes = np.where(begins, 0, state.boxes.data[at]) + within
    stays_s = pairs.at_s - first_s
    entered = within & (phase != IN) & (boxes >= _LEAST_BOXES) & (stays_s >= rules.enter_s[pairs.rule])
    phase = np.where(begins, COMING, phase)
    phase[(phase == COMING) & ~around] = OUT
    phase[entered] = IN
    loitered = state.loitered.data[at] & ~entered
    loiters = within & (phase == IN) & ~loitered & (stays_s >= rules.loiter_s[pairs.rule])
    state.phase.data[at] = phase
    state.first_s.data[at] = first_s
    state.boxes.data[at] = boxes
    state.last_s.data[at] = np.where(within, pairs.at_s, state.last_s.data[at])
    state.around_s.data[at] = np.where(around, pairs.at_s, state.around_s.data[at])
    state.loitered.data[at] = loitered | loiters
    return Visits(np.flatnonzero(entered), np.flatnonzero(loiters))


def overdue(
    rows: Indices, at_s: NDArray[np.float64], most: int, exit_s: NDArray[np.float64], state: RuleState
) -> Flags:
    """Return which objects have been outside or unseen for long enough to be out [K, R, T].

    Args:
        rows: rows of the table [R].
        at_s: time of each row's newest frame [R].
        most: most tracks of a row, T.
        exit_s: of each rule of each row of the table; infinite for lines [K, S].
        state: what is remembered of each pair.
    """
    phase = state.phase.data[:, rows, :most]
    gone_s = at_s[:, None] - state.around_s.data[:, rows, :most]
    least_s = np.full(phase.shape[:2], np.inf)
    least_s[: len(exit_s)] = exit_s[:, rows]
    out: Flags = (phase != OUT) & (gone_s >= least_s[:, :, None])
    return out
