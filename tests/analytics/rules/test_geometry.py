"""Points against shapes, compared with a plain implementation of one pair at a time."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from framelane.analytics.rules.geometry import Edges, Steps, distance, inside, steps

Point = tuple[float, float]
SQUARE = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0)]


def edges(*shapes: list[Point]) -> Edges:
    """Edges of polylines, padded as the book of rules pads them."""
    most = max(len(shape) for shape in shapes) - 1
    rows = [
        [(*a, *b) for a, b in pairwise(shape)] + [(*shape[0], *shape[0])] * (most - len(shape) + 1)
        for shape in shapes
    ]
    return Edges.of(np.array(rows, np.float64).transpose(2, 1, 0))


def plain_distance(point: Point, shape: list[Point]) -> float:
    best = math.inf
    for (ax, ay), (bx, by) in pairwise(shape):
        length2 = (bx - ax) ** 2 + (by - ay) ** 2
        share = max(0.0, min(1.0, ((point[0] - ax) * (bx - ax) + (point[1] - ay) * (by - ay)) / length2))
        best = min(best, math.dist(point, (ax + share * (bx - ax), ay + share * (by - ay))))
    return best


def stepped(x1: float, y1: float, x2: float, y2: float, shape: Edges) -> Steps:
    between = Edges._make(each[:, None] for each in shape)
    return steps(np.array([[x1], [x2]]), np.array([[y1], [y2]]), between)


def side_of(point: Point, shape: Edges) -> float:
    return float(stepped(*point, *point, shape).side[1, 0])


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
    found = distance(points[:, 0], points[:, 1], edges(*shapes))
    expected = [plain_distance((x, y), shape) for (x, y), shape in zip(points.tolist(), shapes, strict=True)]
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
    assert side_of(point, edges([(0.0, 0.0), (10.0, 0.0), (20.0, 0.0)])) == side
    assert side_of(point, edges([(0.0, 0.0), (20.0, 0.0)])) == side


def test_both_ends_of_a_step_have_their_distance_and_side() -> None:
    shapes = random_shapes(100, closed=False)
    ends = np.random.default_rng(8).uniform(-20, 120, (2, 2, 100))
    shape = edges(*shapes)
    found = steps(ends[0], ends[1], Edges._make(each[:, None] for each in shape))
    for end in range(2):
        assert found.distance[end] == pytest.approx(distance(ends[0, end], ends[1, end], shape))


@pytest.mark.parametrize(("y", "side"), [(0.5, 1), (-0.5, 1), (4.0, 1), (-4.0, 1)])
def test_point_behind_a_sharp_corner_is_outside_of_it(y: float, side: int) -> None:
    # The line comes from the left, turns left at (10, 0) and goes back: what lies beyond the corner is right of it.
    corner = edges([(0.0, 2.0), (10.0, 0.0), (0.0, -2.0)])
    assert side_of((14.0, y), corner) == side


def test_step_crosses_at_its_share_and_to_its_side() -> None:
    line = edges([(0.0, 0.0), (10.0, 0.0)])
    down = stepped(5.0, -1.0, 5.0, 3.0, line)
    assert (down.share.tolist(), down.led.tolist()) == ([0.25], [1.0])
    up = stepped(5.0, 3.0, 5.0, -1.0, line)
    assert (up.share.tolist(), up.led.tolist()) == ([0.75], [-1.0])
    beside = stepped(15.0, -1.0, 15.0, 3.0, line)
    assert len(beside.crossing) == 0


def test_two_steps_that_meet_on_the_line_cross_it_once() -> None:
    line = edges([(0.0, 0.0), (10.0, 0.0)])
    first = stepped(5.0, -1.0, 5.0, 0.0, line)
    second = stepped(5.0, 0.0, 5.0, 1.0, line)
    assert [each.crossing.tolist() for each in (first, second)] == [[0], []]


def test_step_over_several_edges_counts_the_last() -> None:
    found = stepped(5.0, -5.0, 5.0, 15.0, edges(SQUARE))
    assert (found.share.tolist(), found.led.tolist()) == ([0.75], [-1.0])


def test_step_without_a_beginning_crosses_nothing() -> None:
    assert len(stepped(math.nan, math.nan, 5.0, 1.0, edges(SQUARE)).crossing) == 0
