"""Boxes of all streams compared at once, and matched best first."""

from __future__ import annotations

import numpy as np
import pytest

from framelane.analytics.association import matches, overlaps


def test_overlaps_are_those_of_each_row() -> None:
    tracks = np.array([[[0, 0, 10, 10], [0, 0, 0, 0]], [[0, 0, 4, 4], [5, 5, 9, 9]]], float).transpose(
        2, 0, 1
    )
    found = np.array([[[5, 0, 15, 10]], [[0, 0, 4, 2]]], float).transpose(2, 0, 1)
    np.testing.assert_allclose(overlaps(tracks, found)[:, :, 0], [[1 / 3, 0], [0.5, 0]])


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ([[[0.9, 0.8], [0.85, 0.1]]], [(0, 0, 0)]),
        ([[[0.9, 0.8], [0.85, 0.6]]], [(0, 0, 0), (0, 1, 1)]),
        ([[[0.1, 0.2]]], []),
        ([[[0.5, 0.5], [0.5, 0.5]]], [(0, 0, 0), (0, 1, 1)]),
        ([[[0.9]], [[0.7]]], [(0, 0, 0), (1, 0, 0)]),
    ],
)
def test_matches_take_the_best_pairs_first(
    score: list[list[list[float]]], expected: list[tuple[int, int, int]]
) -> None:
    found = matches(np.array(score), 0.3)
    assert sorted(zip(*(each.tolist() for each in found), strict=True)) == expected


def test_matches_are_those_of_taking_the_best_pair_again_and_again() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        score = rng.random((3, 6, 5))
        expected = set()
        for row in range(3):
            left = score[row].copy()
            while left.max() >= 0.4:
                track, detection = divmod(int(left.argmax()), 5)
                expected.add((row, track, detection))
                left[track], left[:, detection] = -1, -1
        assert set(zip(*(each.tolist() for each in matches(score.copy(), 0.4)), strict=True)) == expected
