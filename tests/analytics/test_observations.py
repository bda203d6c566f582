"""A batch is split so that padding stays cheap, and only if it would not be."""

from __future__ import annotations

import numpy as np
import pytest

from framelane.analytics.observations import alike


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], [[]]),
        ([200], [[0]]),
        ([0, 10, 7, 10], [[0, 1, 2, 3]]),
        ([200] * 16, [list(range(16))]),
        ([10, 200, 10, 8], [[1], [0, 2, 3]]),
        ([10, 200, 10, 190, 70, 8], [[1, 3], [4], [0, 2, 5]]),
    ],
)
def test_parts_are_of_like_size(sizes: list[int], expected: list[list[int]]) -> None:
    indices = np.arange(len(sizes))
    assert [sorted(indices[part].tolist()) for part in alike(np.array(sizes, np.intp))] == expected


def test_every_observation_is_in_one_part_and_no_part_is_mostly_padding() -> None:
    dice = np.random.default_rng(1)
    for _ in range(200):
        sizes = dice.integers(0, dice.integers(1, 300), dice.integers(1, 40))
        parts = [np.arange(len(sizes))[part] for part in alike(sizes)]
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(sizes)))
        for part in parts:
            squares = sizes[part] ** 2
            assert squares.max() * len(squares) - squares.sum() <= 4096
