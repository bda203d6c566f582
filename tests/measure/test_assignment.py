"""Assignments against all permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from framelane.measure.assignment import best_assignment


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (2, 5), (5, 2), (4, 4), (5, 6), (6, 5)])
def test_assignment_has_the_largest_sum_of_all(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    for _ in range(40):
        # Many zeros and equal scores: ties are what usually breaks.
        score = np.round(rng.random(shape), 1) * (rng.random(shape) < 0.6)
        rows, columns = best_assignment(score)
        wide = score if shape[0] <= shape[1] else score.T
        sums = [
            sum(wide[row, column] for row, column in enumerate(chosen))
            for chosen in itertools.permutations(range(wide.shape[1]), wide.shape[0])
        ]
        assert len(rows) == len(set(rows.tolist())) == len(set(columns.tolist())) == min(shape)
        assert sorted(rows.tolist()) == rows.tolist()
        assert score[rows, columns].sum() == pytest.approx(max(sums))
