"""True crossings, and scores of counted ones."""

from __future__ import annotations

import numpy as np
import pytest

from lab.tracks.footage import Crossing
from lab.tracks.pets import crossings
from lab.tracks.score import score

LEFT, RIGHT = -1, 1


def test_score_pairs_each_true_crossing_once_within_a_second_in_its_direction() -> None:
    true = [Crossing(0, LEFT, 10.0), Crossing(0, RIGHT, 10.0), Crossing(1, LEFT, 20.0)]
    counted = [
        Crossing(0, LEFT, 10.9),
        # The same one again; one that is too late; one on the wrong side.
        Crossing(0, LEFT, 9.2),
        Crossing(1, LEFT, 21.5),
        Crossing(1, RIGHT, 20.0),
    ]
    found = score(counted, true)
    assert (found.right, found.counted, found.true, found.errors) == (1, 4, 3, 3)
    assert found.f1 == pytest.approx(2 / 7)
    assert (found.net_error, found.count_error) == pytest.approx((1 / 3, 1))


def test_ignored_crossings_count_neither_as_missed_nor_as_false() -> None:
    true = [
        Crossing(0, LEFT, 10.0, ignore=True),
        Crossing(0, LEFT, 10.5),
        Crossing(0, LEFT, 30.0, ignore=True),
    ]
    found = score([Crossing(0, LEFT, 10.1), Crossing(0, LEFT, 10.2)], true)
    assert (found.right, found.counted, found.true, found.errors) == (1, 1, 1, 0)


def test_feet_cross_a_line_once_and_hesitation_is_none() -> None:
    def person(number: int, x: float) -> list[float]:
        return [x - 5, 20, x + 5, 50, number, 0]

    line = np.array([[[50.0, 0.0], [50.0, 100.0]]])
    # One walks to the right with a gap, and back 2 s later; one steps over the line and back within half a second.
    frames = [
        [person(1, 30), person(2, 49)],
        [person(2, 51)],
        [person(1, 70), person(2, 49)],
        *[[]] * 7,
        [person(1, 30)],
    ]
    truth = [np.array(each).reshape(-1, 6) for each in frames]
    # Down the picture, right of the line is where x is smaller.
    assert [(each.direction, each.at_s) for each in crossings(truth, line, 4.0)] == [
        (LEFT, 0.25),
        (RIGHT, 1.5),
    ]
