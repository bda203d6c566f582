"""Shapes that are no lines or polygons, against an independent count of crossings."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from framelane.config.checks.shapes import line_faults, polygon_faults

Points = list[tuple[float, float]]


def around(*radii: float) -> Points:
    """Corners in order around the middle, one per radius."""
    ways = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
    return [(0.5 + x * r, 0.5 + y * r) for (x, y), r in zip(ways, radii, strict=True)]


@pytest.mark.parametrize(
    ("corners", "faulty"),
    [
        (around(0.4, 0.1, 0.4, 0.1, 0.4, 0.1, 0.4, 0.1), False),
        # A corner on another edge, a corner on another corner, an edge on another edge.
        ([(0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)], True),
        ([(0, 0), (0.5, 0.5), (1, 0), (1, 1), (0.5, 0.5), (0, 1)], True),
        ([(0, 0), (1, 0), (1, 1), (0.5, 1), (0.5, 0), (0.4, 0), (0.4, 1), (0, 1)], True),
        # A spike: the way there and back.
        ([(0, 0), (1, 0), (1, 1), (0.5, 0.5), (1, 1), (0, 1)], True),
        ([(0, 0), (0.8, 0), (0.4, 0), (0.4, 1)], True),
        # Decimals that binary fractions only approximate lie on one line all the same.
        ([(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)], True),
        ([(0.1, 0.3), (0.2, 0.6), (0.3, 0.9), (0.9, 0.9)], False),
    ],
)
def test_polygon_that_touches_itself_is_faulty(corners: Points, *, faulty: bool) -> None:
    assert faulty == bool(polygon_faults(corners))
    assert faulty == bool(polygon_faults(corners[::-1]))


def proper_crossings(corners: Points) -> int:
    """Count pairs of edges that cross at an inner point of both, by Cramer's rule on exact fractions."""
    exact = [(Fraction(str(x)), Fraction(str(y))) for x, y in corners]
    edges = list(zip(exact, exact[1:] + exact[:1], strict=True))
    found = 0
    for index, ((ax, ay), (bx, by)) in enumerate(edges):
        for (cx, cy), (dx, dy) in edges[index + 1 :]:
            determinant = (bx - ax) * (dy - cy) - (by - ay) * (dx - cx)
            if determinant:
                s = ((cx - ax) * (dy - cy) - (cy - ay) * (dx - cx)) / determinant
                t = ((cx - ax) * (by - ay) - (cy - ay) * (bx - ax)) / determinant
                found += 0 < s < 1 and 0 < t < 1
    return found


def test_random_polygons_are_faulty_exactly_if_two_edges_cross() -> None:
    draw = random.Random(19)
    counts = {True: 0, False: 0}
    for _ in range(500):
        corners = [(round(draw.random(), 6), round(draw.random(), 6)) for _ in range(draw.randint(3, 7))]
        crosses = proper_crossings(corners) > 0
        counts[crosses] += 1
        assert crosses == bool(polygon_faults(corners)), corners
    assert min(counts.values()) > 100


@pytest.mark.parametrize(
    ("points", "places"),
    [
        ([(0, 0), (1, 1)], []),
        ([(0, 0), (0, 0), (0, 0)], [()]),
        ([(0, 0), (0, 0), (1, 1), (1, 1)], [(1,), (3,)]),
        # A closed line, a figure of eight, a way back.
        ([(0, 0), (1, 0), (1, 1), (0, 0)], []),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], [()]),
        ([(0, 0), (1, 0), (0, 0)], [()]),
        ([(0, 0), (1, 0), (1, 1), (0.5, 0)], [()]),
        ([(0.5, 0), (0.5, 0.5), (0, 1), (1, 1), (0.5, 0.5)], [()]),
    ],
)
def test_line_faults_are_at_the_points_that_have_them(points: Points, places: list[tuple[int, ...]]) -> None:
    assert places == [place for place, _ in line_faults(points)]
