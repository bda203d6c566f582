"""Points against shapes, compared with a plain implementation of one pair at a time."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from framelane.analytics.rules.geometry import Crossings, Edges, crossings, inside, nearness

Point = tuple[float, float]
SQUARE = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0)]


def edges(*shapes: list[Point]) -> Edges:
    """Edges of polylines, padded as the book of rules pads them."""
    most = max(len(shape) for shape in shapes) - 1
    rows = [
        [(*a, *b) for a, b in pairwise(shape)] + [(*shape[0], *shape[0])] * (most - len(shape) + 1)
        for shape in shapes
    ]
    return Edges(*np.array(rows, np.float64).transpose(2, 0, 1))


def distance(point: Point, shape: list[Point]) -> float:
    best = math.inf
    for (ax, ay), (bx, by) in pairwise(shape):
        length2 = (bx - ax) ** 2 + (by - ay) ** 2
        share = max(0.0, min(1.0, ((point[0] - ax) * (bx - ax) + (point[1] - ay) * (by - ay)) / length2))
        best = min(best, math.dist(point, (ax + share * (bx - ax), ay + share * (by - ay))))
    return best


def stepped(x1: float, y1: float, x2: float, y2: float, shape: Edges) -> Crossings:
    return crossings(np.array([x1]), np.array([y1]), np.array([x2]), np.array([y2]), shape)


def random_shapes(count: int, *, closed: bool) -> list[list[Point]]:
    rng = np.random.default_rng(5)
    shapes = []
    for _ in range(count):
        shape = [(float(x), float(y)) for x, y in rng.uniform(0, 100, (int(rng.integers(3, 9)), 2))]
        shapes.append([*shape, shape[0]] if closed else shape)
    return shapes


def test_distance_is_that_to_the_nearest_edge_and_padding_changes_nothing() -> None:
    shapes = random_shapes(200, closed=False)
    points = np.random.default_rng(6).uniform(-20, 120, (200, 2))
    found = nearness(points[:, 0], points[:, 1], edges(*shapes)).distance
    expected = [distance((x, y), shape) for (x, y), shape in zip(points.tolist(), shapes, strict=True)]
    assert found == pytest.approx(expected, abs=1e-4)


def test_inside_is_what_an_odd_number_of_edges_to_the_right_says() -> None:
    cv2 = pytest.importorskip("cv2")
    shapes = random_shapes(300, closed=True)
    points = np.random.default_rng(7).uniform(0, 100, (300, 2))
    found = inside(points[:, 0], points[:, 1], edges(*shapes))
    expected = [
        cv2.pointPolygonTest(np.array(shape[:-1], np.float32), (x, y), measureDist=False) > 0
        for (x, y), shape in zip(points.tolist(), shapes, strict=True)
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("point", "side"),
    [((5.0, -3.0), -1), ((5.0, 3.0), 1), ((-5.0, -1.0), -1), ((25.0, 1.0), 1), ((5.0, 0.0), 0)],
)
def test_side_is_left_or_right_as_seen_along_the_line_also_beyond_its_ends(point: Point, side: int) -> None:
    found = nearness(
        np.array([point[0]]), np.array([point[1]]), edges([(0.0, 0.0), (10.0, 0.0), (20.0, 0.0)])
    )
    assert found.side.tolist() == [side]


@pytest.mark.parametrize(("y", "side"), [(0.5, 1), (-0.5, 1), (4.0, 1), (-4.0, 1)])
def test_point_behind_a_sharp_corner_is_outside_of_it(y: float, side: int) -> None:
    # The line comes from the left, turns left at (10, 0) and goes back: what lies beyond the corner is right of it.
    corner = edges([(0.0, 2.0), (10.0, 0.0), (0.0, -2.0)])
    assert nearness(np.array([14.0]), np.array([y]), corner).side.tolist() == [side]


def test_step_crosses_at_its_share_and_to_its_side() -> None:
    line = edges([(0.0, 0.0), (10.0, 0.0)])
    down = stepped(5.0, -1.0, 5.0, 3.0, line)
    assert (down.share.tolist(), down.side.tolist()) == ([0.25], [1.0])
    up = stepped(5.0, 3.0, 5.0, -1.0, line)
    assert (up.share.tolist(), up.side.tolist()) == ([0.75], [-1.0])
    beside = stepped(15.0, -1.0, 15.0, 3.0, line)
    assert math.isnan(beside.share[0])


def test_two_steps_that_meet_on_the_line_cross_it_once() -> None:
    line = edges([(0.0, 0.0), (10.0, 0.0)])
    first = stepped(5.0, -1.0, 5.0, 0.0, line)
    second = stepped(5.0, 0.0, 5.0, 1.0, line)
    assert [math.isnan(each.share[0]) for each in (first, second)] == [False, True]


def test_step_over_several_edges_counts_the_last() -> None:
    found = stepped(5.0, -5.0, 5.0, 15.0, edges(SQUARE))
    assert (found.share.tolist(), found.side.tolist()) == ([0.75], [-1.0])


def test_step_without_a_beginning_crosses_nothing() -> None:
    found = crossings(
        np.array([math.nan]), np.array([math.nan]), np.array([5.0]), np.array([1.0]), edges(SQUARE)
    )
    assert math.isnan(found.share[0])
