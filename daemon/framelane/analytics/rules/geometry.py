"""Points against polylines and polygons, for many pairs at once.

A shape is a column of edges, padded with edges of no length at one of its own corners. Arrays have a row per edge [E]
and a column per pair of point and shape [P], because NumPy reduces rows several times as fast as columns. All lengths
are in pixels, and y points down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Indices = NDArray[np.intp]

_TIE = 1e-9
_NONE: Floats = np.zeros(0)


class Edges(NamedTuple):
    """Edges of the shapes of some pairs, each [E, P].

    Attributes:
        x1: where an edge begins.
        y1: likewise.
        x2: where it ends.
        y2: likewise.
        along_x: from its beginning to its end.
        along_y: likewise.
        squared: its length squared; never 0.
        length: its length; never 0.
    """

    x1: Floats
    y1: Floats
    x2: Floats
    y2: Floats
    along_x: Floats
    along_y: Floats
    squared: Floats
    length: Floats

    @staticmethod
    def of(corners: Floats) -> Edges:
        """Return the edges between corners x1 y1 x2 y2 [4, E, P]."""
        x1, y1, x2, y2 = corners
        along_x, along_y = x2 - x1, y2 - y1
        squared = np.maximum(along_x * along_x + along_y * along_y, _TIE)
        return Edges(x1, y1, x2, y2, along_x, along_y, squared, np.sqrt(squared))


def distance(x: Floats, y: Floats, edges: Edges) -> Floats:
    """Return the distance of points [P] to the nearest edges of their shapes [P]."""
    nearest: Floats = np.sqrt(_squared(x - edges.x1, y - edges.y1, edges).min(axis=0))
    return nearest


def _squared(from_x: Floats, from_y: Floats, edges: Edges) -> Floats:
    """Return the squared distances of points to edges, given by the ways to them from the beginnings of the edges."""
    share = from_x * edges.along_x
    share += from_y * edges.along_y
    share /= edges.squared
    np.maximum(share, 0.0, out=share)
    np.minimum(share, 1.0, out=share)
    off_x, off_y = from_x - share * edges.along_x, from_y - share * edges.along_y
    squared: Floats = off_x * off_x
    squared += off_y * off_y
    return squared


def inside(x: Floats, y: Floats, edges: Edges) -> Flags:
    """Return whether points [P] are inside their polygons, by the even-odd rule [P]."""
    above = (edges.y1 > y) != (edges.y2 > y)
    meets = edges.x1 + (y - edges.y1) * edges.along_x / np.where(above, edges.along_y, 1.0)
    odd: Flags = np.logical_xor.reduce(above & (x < meets), axis=0)
    return odd


class Steps(NamedTuple):
    """Steps from one point to the next, beside their polylines.

    Attributes:
        distance: from each end of a step to the nearest edge [2, P].
        side: of each end: -1 left of the nearest edge, 1 right of it, as seen along it; 0 on it [2, P].
        crossing: steps that crossed their polylines [C].
        share: of each of these, 0 to 1, at its last crossing [C].
        led: side that it led to there: -1 left, 1 right [C].
    """

    distance: Floats
    side: Floats
    crossing: Indices
    share: Floats
    led: Floats


def steps(x: Floats, y: Floats, edges: Edges) -> Steps:
    """Return how steps lie to their polylines, and where they cross them.

    An end of a step that lies on an edge counts as right of it, so that two steps through one point cross once.

    Args:
        x: of both ends of each step [2, P].
        y: likewise.
        edges: [E, 1, P].
    """
    from_x, from_y = x - edges.x1, y - edges.y1
    across = edges.along_x * from_y
    across -= edges.along_y * from_x
    distance, side = _sides(_squared(from_x, from_y, edges), across, edges)
    step_x, step_y = x[1] - x[0], y[1] - y[0]
    first = step_y * from_x[:, 0] - step_x * from_y[:, 0]
    last = step_x * (edges.y2[:, 0] - y[0]) - step_y * (edges.x2[:, 0] - x[0])
    right = across >= 0
    meets = right[:, 0] != right[:, 1]
    meets &= (first >= 0) != (last >= 0)
    crossing = np.logical_or.reduce(meets).nonzero()[0]
    if not len(crossing):
        return Steps(distance, side, crossing, _NONE, _NONE)
    share, led = _last_meeting(meets[:, crossing], across[:, 0, crossing], across[:, 1, crossing])
    return Steps(distance, side, crossing, share, led)


def _sides(squared: Floats, across: Floats, edges: Edges) -> tuple[Floats, Floats]:
    """Return the distance to the nearest edge and the side of it [2, P].

    Where the nearest point of a polyline is a corner, both of its edges decide on the side together, so that no wedge
    behind a sharp corner gets the wrong one.

    Args:
        squared: squared distance of each end to each edge [E, 2, P].
        across: how far right of the edge it is, times the edge's length [E, 2, P].
        edges: [E, 1, P].
    """
    if len(squared) == 1:
        return np.sqrt(squared[0]), np.sign(across[0])
    nearest = squared.min(axis=0)
    tied = squared <= nearest * (1 + _TIE) + _TIE
    return np.sqrt(nearest), np.sign((across / edges.length * tied).sum(axis=0))


def _last_meeting(meets: Flags, before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Return the share of each step at its last crossing and the side that it led to, each [C]; arrays are [E, C]."""
    share = np.where(meets, before / np.where(meets, before - after, 1.0), -1.0)
    last = share.argmax(axis=0), np.arange(share.shape[1])
    return share[last], np.where(after[last] >= 0, 1.0, -1.0)
