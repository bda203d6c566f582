"""Turns the result array from the GPU into detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from framelane.core.frames import Detections
from framelane.inference.backends.cuda.postprocess import ROW

if TYPE_CHECKING:
    from numpy.typing import NDArray


def detections(results: NDArray[np.float32], count: int) -> list[Detections]:
    """Return copies of the first `count` images' boxes; the array itself is reused for the next batch.

    Args:
        results: float32 [batch, 1 + 6 * max_det], as postprocess.py describes it.
        count: the number of real images in the batch.
    """
    return [_one(row) for row in results[:count]]


def _one(row: NDArray[np.float32]) -> Detections:
    table = row[1 : 1 + ROW * int(row[0])].reshape(-1, ROW)
    return Detections(table[:, :4].copy(), table[:, 4].copy(), table[:, 5].astype(np.int32))
