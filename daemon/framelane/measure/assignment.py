"""The assignment of rows to columns with the largest sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.intp]


def best_assignment(score: NDArray[np.float64]) -> tuple[Indices, Indices]:
    """Assign rows and columns one to one, as many as there are of the fewer, so that the sum of scores is largest.

    Shortest augmenting paths with potentials: the Hungarian method in O(n^2 m) (Crouse 2016, doi
    10.1109/TAES.2016.140952).

    Args:
        score: [R, C], finite.

    Returns:
        Rows, ascending, and the column of each.
    """
    if score.shape[0] > score.shape[1]:
        columns, rows = best_assignment(score.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    count, width = score.shape
    cost = -score
    row_price, column_price = np.zeros(count), np.zeros(width)
    row_of, column_of = np.full(width, -1, np.intp), np.full(count, -1, np.intp)
    for start in range(count):
        reached, came_from = np.full(width, np.inf), np.zeros(width, np.intp)
        done_rows, done = np.zeros(count, np.bool_), np.zeros(width, np.bool_)
        row, shortest = start, 0.0
        while True:
            done_rows[row] = True
            path = shortest + cost[row] - row_price[row] - column_price
            better = ~done & (path < reached)
            reached[better], came_from[better] = path[better], row
            column = int(np.where(done, np.inf, reached).argmin())
            shortest = float(reached[column])
            done[column] = True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
        others = done_rows.copy()
        others[start] = False
        row_price[start] += shortest
        row_price[others] += shortest - reached[column_of[others]]
        column_price[done] -= shortest - reached[done]
        while True:
            row = int(came_from[column])
            row_of[column] = row
            column_of[row], column = column, int(column_of[row])
            if row == start:
                break
    return np.arange(count), column_of
