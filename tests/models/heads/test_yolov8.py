"""Columns of center, size and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models.heads.scenes import (
    sample_of,
    table,
    told,
    wanting,
)

from framelane.models.heads.yolov8 import KIND

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


COLUMNS = table(
    [50, 50, 50, 50],
    [40, 40, 40, 40],
    [20, 20, 20, 20],
    [10, 10, 10, 10],
    [0.5, 0.3, 0.2, 0.7],
    [0.1, 0.6, 0.2, 0.8],
)
BOX = [40, 35, 60, 45]


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ((0.5, 0.5), [(0.5, 0), (0.6, 1), (0.8, 1)]),
        ((0.6, 0.7), [(0.8, 1)]),
        ((0.5, np.inf), [(0.5, 0)]),
        ((np.inf, 0.5), [(0.6, 1), (0.8, 1)]),
        ((np.inf, np.inf), []),
        ((0.1, 0.1), [(0.5, 0), (0.6, 1), (0.2, 0), (0.8, 1)]),
    ],
)
def test_decode_keeps_columns_whose_best_class_is_wanted(
    thresholds: tuple[float, ...], expected: list[tuple[float, int]]
) -> None:
    head = KIND.make(sample_of(COLUMNS), sample_of(COLUMNS).outputs[0])
    found = told(head.decode([COLUMNS], 0, wanting(*thresholds)))
    assert [(BOX, *each) for each in expected] == found


def test_raw_turns_columns_to_rows() -> None:
    raw = KIND.make(sample_of(COLUMNS), sample_of(COLUMNS).outputs[0]).raw([COLUMNS])
    assert raw.boxes is not None
    assert (raw.boxes.shape, raw.scores.shape, raw.boxes[0, 3].tolist()) == (
        (1, 4, 4),
        (1, 4, 2),
        [50, 40, 20, 10],
    )
    assert raw.confidence[0].tolist() == pytest.approx([0.5, 0.6, 0.2, 0.8])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 7, 420), True),
        ((1, 84, 84), True),
        ((1, 5, 420), True),
        ((1, 4, 420), False),
        ((1, 420, 7), False),
        ((1, 7), False),
    ],
)
def test_fits_wants_more_columns_than_rows(shape: tuple[int, ...], *, expected: bool) -> None:
    sample = sample_of(np.zeros(shape, np.float32))
    assert expected is KIND.fits(sample, sample.outputs[0])


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1 / 255), ("float16", 1 / 255), ("uint8", 1.0)])
def test_make_counts_classes_and_scales_the_input(dtype: Any, scale: float) -> None:
    sample = sample_of(np.zeros((1, 84, 420), np.float32), dtype=dtype)
    head = KIND.make(sample, sample.outputs[0])
    assert (head.classes, head.input.scale, head.input.dtype, head.input.size_wh) == (
        80,
        scale,
        dtype,
        (160, 128),
    )
