"""Lanes that open and close while batches are on their way."""

from __future__ import annotations

import numpy as np

from framelane.inference.class_filter import ClassFilter
from framelane.inference.lanes import Lane, Lanes, NullLaneMeter

NOTHING = ClassFilter.of(np.full(2, np.inf, np.float32))


def test_stream_has_the_lane_that_was_opened_last_until_it_is_closed() -> None:
    lanes = Lanes(NOTHING)
    first, second = (Lane(ClassFilter.of(np.zeros(2, np.float32)), NullLaneMeter()) for _ in range(2))
    lanes.open("a", first)
    lanes.open("a", second)
    assert lanes.of("a") is second
    lanes.close("a")
    lanes.close("a")
    assert (lanes.of("a").closed, lanes.of("a").wanted) == (True, NOTHING)
