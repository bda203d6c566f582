"""The cells from which anchor-free heads predict."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.models.input.letterbox import SizeWH

Strides = tuple[int, ...]

# Pixels between cells, per level: the usual ones, with P6 for large objects, with P2 for small ones.
KNOWN_STRIDES: tuple[Strides, ...] = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))


def cells(size_wh: SizeWH, strides: Strides) -> int:
    """Return the number of cells of all levels over an input."""
    return sum(-(-size_wh[0] // stride) * -(-size_wh[1] // stride) for stride in strides)


def strides_of(size_wh: SizeWH, rows: int, anchors: int = 1) -> Strides | None:
    """Return the known strides whose grid has this many rows, with `anchors` per cell, or None."""
    for strides in KNOWN_STRIDES:
        if anchors * cells(size_wh, strides) == rows:
            return strides
    return None


@lru_cache(maxsize=16)
def cell_grid(size_wh: SizeWH, strides: Strides) -> NDArray[np.float32]:
    """Return column, row and stride of every cell [A, 3], per level, row by row."""
    levels = []
    for stride in strides:
        columns, rows = -(-size_wh[0] // stride), -(-size_wh[1] // stride)
        row, column = np.divmod(np.arange(rows * columns), columns)
        levels.append(np.column_stack([column, row, np.full(rows * columns, stride)]))
    return np.concatenate(levels).astype(np.float32)
