from __future__ import annotations

import numpy as np

from framelane.models.heads.head import corners


def test_corners_lie_half_the_size_from_the_center() -> None:
    center_x, center_y, width, height = np.array([[50, 40, 20, 10], [0, 0, 1, 0]], np.float32).T
    found = corners(center_x, center_y, width, height)
    assert (found.dtype, found.tolist()) == (np.float32, [[40, 35, 60, 45], [-0.5, 0, 0.5, 0]])


def test_corners_of_nothing_have_four_columns() -> None:
    assert corners(*np.zeros((4, 0), np.float32)).shape == (0, 4)
