"""From the result array that came back from the GPU to detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from framelane.core.frames import Detections
from framelane.gpu.postprocess import ROW

if TYPE_CHECKING:
    from numpy.typing import NDArray


def detections(results: NDArray[np.float32], count: int) -> list[Detections]:
    """Copies of the first `count` pictures' boxes: the array itself takes the next batch.

    Args:
        results: float32 [batch, 1 + 6 * max_det], as gpu/postprocess.py says.
        count: how many pictures of the batch are real.
    """
    return [_one(row) for row in results[:count]]


def _one(row: NDArray[np.float32]) -> Detections:
    table = row[1 : 1 + ROW * int(row[0])].reshape(-1, ROW)
    return Detections(table[:, :4].copy(), table[:, 4].copy(), table[:, 5].astype(np.int32))
