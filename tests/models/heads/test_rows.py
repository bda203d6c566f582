from __future__ import annotations

import numpy as np
import pytest
from tests.models.heads.scenes import wanting

from framelane.models.heads.rows import pick, raw_rows

ROWS = np.array(
    [
        [1, 2, 3, 4, 0.5, 1, 0.5],
        [1, 2, 3, 4, 0.8, 0.25, 0.75],
        [1, 2, 3, 4, 0, 1, 1],
        [1, 2, 3, 4, 1, 0.5, 0.5],
    ],
    np.float32,
)


@pytest.mark.parametrize(
    ("thresholds", "index", "classes"),
    [
        ((0.5, 0.5), [0, 1, 3], [0, 1, 0]),
        ((0.51, 0.5), [1], [1]),
        ((np.inf, 0.61), [], []),
        ((0.5, np.inf), [0, 3], [0, 0]),
        ((0.0, 0.0), [0, 1, 2, 3], [0, 1, 0, 0]),
        ((np.inf, np.inf), [], []),
    ],
)
def test_pick_keeps_rows_whose_best_class_reaches_its_threshold(
    thresholds: tuple[float, float], index: list[int], classes: list[int]
) -> None:
    found, confidence, class_id = pick(ROWS, wanting(*thresholds))
    assert (index, classes) == (found.tolist(), class_id.tolist())
    products = ROWS[index, 4] * ROWS[index, 5:].max(axis=1, initial=0)
    assert confidence.tolist() == products.tolist()
    assert (confidence.dtype, class_id.dtype) == (np.float32, np.int32)


@pytest.mark.parametrize("in_pixels", [False, True])
def test_raw_rows_hold_boxes_only_in_pixels(*, in_pixels: bool) -> None:
    raw = raw_rows(ROWS[None], in_pixels=in_pixels)
    assert (raw.boxes is not None) is in_pixels
    assert raw.scores.shape == (1, 4, 3)
    assert raw.confidence[0].tolist() == pytest.approx([0.5, 0.6, 0, 0.5])
