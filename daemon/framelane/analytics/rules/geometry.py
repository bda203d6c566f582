"""Points against polylines and polygons, for many pairs at once.

A shape is a row of edges, padded with edges of no length at one of its own corners. Arrays have a row per pair of point
and shape [P] and a column per edge [E]; all lengths are in pixels, and y points down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_TIE = 1e-9


class Edges(NamedTuple):
    """Edges of the shapes of some pairs: from x1 y1 to x2 y2, each [P, E]."""

    x1: Floats
    y1: Floats
    x2: Floats
    y2: Floats


class Nearness(NamedTuple):
    """How points lie to their shapes.

    Attributes:
        distance: from the point to the nearest edge [P].
        side: -1 left of the nearest edge, 1 right of it, as seen along it; 0 on it [P].
    """

    distance: Floats
    side: Floats


def nearness(x: Floats, y: Floats, edges: Edges) -> Nearness:
    """Return how points [P] lie to their shapes.

    Where the nearest point of a shape is a corner, both of its edges decide on the side together, so that no wedge
    behind a sharp corner gets the wrong one.
    """
    along_x, along_y = edges.x2 - edges.x1, edges.y2 - edges.y1
    from_x, from_y = x[:, None] - edges.x1, y[:, None] - edges.y1
    squared = along_x * along_x + along_y * along_y
    share = np.clip((from_x * along_x + from_y * along_y) / np.maximum(squared, _TIE), 0.0, 1.0)
    off_x, off_y = from_x - share * along_x, from_y - share * along_y
    distance = off_x * off_x + off_y * off_y
    nearest = distance.min(axis=1)
    tied = distance <= nearest[:, None] * (1 + _TIE) + _TIE
    across = (along_x * from_y - along_y * from_x) / np.sqrt(np.maximum(squared, _TIE))
    return Nearness(np.sqrt(nearest), np.sign((across * tied).sum(axis=1)))


def inside(x: Floats, y: Floats, edges: Edges) -> Flags:
    """Return whether points [P] are inside their polygons, by the even-odd rule [P]."""
    above = (edges.y1 > y[:, None]) != (edges.y2 > y[:, None])
    rise = edges.y2 - edges.y1
    meets = edges.x1 + (y[:, None] - edges.y1) * (edges.x2 - edges.x1) / np.where(above, rise, 1.0)
    odd: Flags = (above & (x[:, None] < meets)).sum(axis=1) % 2 == 1
    return odd


class Crossings(NamedTuple):
    """Where steps crossed their polylines.

    Attributes:
        share: of the step, 0 to 1, at its last crossing; NaN if there is none [P].
        side: side that the step led to there: -1 left, 1 right [P].
    """

    share: Floats
    side: Floats


def crossings(x1: Floats, y1: Floats, x2: Floats, y2: Floats, edges: Edges) -> Crossings:
    """Return where steps from x1 y1 to x2 y2 [P] cross their polylines.

    An end of a step that lies on an edge counts as right of it, so that two steps through one point cross once.
    """
    along_x, along_y = edges.x2 - edges.x1, edges.y2 - edges.y1
    before = along_x * (y1[:, None] - edges.y1) - along_y * (x1[:, None] - edges.x1)
    after = along_x * (y2[:, None] - edges.y1) - along_y * (x2[:, None] - edges.x1)
    step_x, step_y = (x2 - x1)[:, None], (y2 - y1)[:, None]
    first = step_x * (edges.y1 - y1[:, None]) - step_y * (edges.x1 - x1[:, None])
    last = step_x * (edges.y2 - y1[:, None]) - step_y * (edges.x2 - x1[:, None])
    meets = ((before >= 0) != (after >= 0)) & ((first >= 0) != (last >= 0))
    share = np.where(meets, before / np.where(meets, before - after, 1.0), -1.0)
    latest = share.argmax(axis=1)
    pairs = np.arange(len(share))
    at = share[pairs, latest]
    return Crossings(np.where(at >= 0, at, np.nan), np.where(after[pairs, latest] >= 0, 1.0, -1.0))
