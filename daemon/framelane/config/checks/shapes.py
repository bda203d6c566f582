"""Faults of lines and polygons: points that repeat, no area, and edges that meet where they must not."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    Points = Sequence[Sequence[float]]
    Place: TypeAlias = tuple[int, ...]

_Point: TypeAlias = tuple[int, int]
_Edge: TypeAlias = tuple[int, int]

# Whole numbers of this fraction of the image: arithmetic is exact for points of up to 9 decimals.
_GRID = 1_000_000_000


def line_faults(points: Points) -> list[tuple[Place, str]]:
    """Return what is wrong with a line of two or more points: an index, or () for all, and a message."""
    exact = _on_grid(points)
    if len(set(exact)) == 1:
        return [((), "has no length; give it two different points")]
    repeated = [index for index in range(1, len(exact)) if exact[index] == exact[index - 1]]
    if repeated:
        return [((index,), "repeats the point before it; remove it") for index in repeated]
    meeting = _meeting(exact, [(index, index + 1) for index in range(len(exact) - 1)])
    if meeting is not None:
        return [((), f"crosses itself: {_named(meeting)} meet, so left and right would be unclear")]
    return []


def polygon_faults(corners: Points) -> list[tuple[Place, str]]:
    """Return what is wrong with a polygon of three or more corners: an index, or () for all, and a message."""
    exact = _on_grid(corners)
    repeated = [index for index in range(1, len(exact)) if exact[index] == exact[index - 1]]
    if repeated:
        return [((index,), "repeats the corner before it; remove it") for index in repeated]
    if exact[-1] == exact[0]:
        return [((len(exact) - 1,), "repeats the first corner; remove it, since a zone closes by itself")]
    if all(_turn(exact[0], exact[1], corner) == 0 for corner in exact):
        return [((), "has no area: all its corners lie on one line")]
    meeting = _meeting(exact, [(index, (index + 1) % len(exact)) for index in range(len(exact))])
    if meeting is not None:
        return [((), f"crosses itself: {_named(meeting)} meet; list its corners in order around the zone")]
    return []


def _on_grid(points: Points) -> list[_Point]:
    return [(round(x * _GRID), round(y * _GRID)) for x, y in points]


def _named(edges: tuple[_Edge, _Edge]) -> str:
    return " and ".join(f"its edge from [{start}] to [{end}]" for start, end in edges)


def _meeting(points: list[_Point], edges: list[_Edge]) -> tuple[_Edge, _Edge] | None:
    """Return two edges that have more in common than the corner between them; None if there are none."""
    for first, second in combinations(edges, 2):
        shared = {points[end] for end in first} & {points[end] for end in second}
        closing = first is edges[0] and second is edges[-1] and points[first[0]] == points[second[1]]
        if closing or set(first) & set(second):
            corner = shared.pop()
            ends = [next(points[end] for end in edge if points[end] != corner) for edge in (first, second)]
            if shared or _folds(corner, *ends):
                return first, second
        elif _touch(*(points[end] for end in first), *(points[end] for end in second)):
            return first, second
    return None


def _folds(corner: _Point, before: _Point, after: _Point) -> bool:
    """Return whether two edges at a corner lie on each other."""
    ahead = (before[0] - corner[0]) * (after[0] - corner[0]) + (before[1] - corner[1]) * (
        after[1] - corner[1]
    )
    return _turn(corner, before, after) == 0 and ahead > 0


def _touch(a: _Point, b: _Point, c: _Point, d: _Point) -> bool:
    """Return whether the segments ab and cd have a point in common."""
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if 0 not in turns:
        return turns[0] != turns[1] and turns[2] != turns[3]
    ends = zip(turns, (c, d, a, b), ((a, b), (a, b), (c, d), (c, d)), strict=True)
    return any(turn == 0 and _within(point, *segment) for turn, point, segment in ends)


def _within(point: _Point, start: _Point, end: _Point) -> bool:
    """Return whether a point of a segment's line is within the segment's bounds."""
    return all(min(s, e) <= p <= max(s, e) for p, s, e in zip(point, start, end, strict=True))


def _turn(a: _Point, b: _Point, c: _Point) -> int:
    """Return 1, -1 or 0: whether the way from a over b to c turns to one side, the other, or not at all."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (area > 0) - (area < 0)
