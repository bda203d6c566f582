"""Rows per cell, raw or decoded in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import (
    SCENE,
    sample_of,
    table,
    told,
    wanting,
)

from framelane.models.heads.grid import cell_grid
from framelane.models.heads.yolox import DECODED_KIND, KIND

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def test_decode_places_offsets_by_cell_and_stride() -> None:
    rows = np.zeros((1, 420, 7), np.float32)
    # The first level has 20 x 16 cells, the last begins at 400 with 5 x 4.
    for cell in (0, 21, 319, 320, 419):
        rows[0, cell] = [0.5, 0.25, 0, np.log(2), 0.8, 0.5, 1]
    sample = sample_of(rows)
    head = KIND.make(sample, sample.outputs[0])
    assert head.strides == (8, 16, 32)
    assert told(head.decode([rows], 0, wanting(0.5, 0.5))) == [
        ([0, -6, 8, 10], 0.8, 1),
        ([8, 2, 16, 18], 0.8, 1),
        ([152, 114, 160, 130], 0.8, 1),
        ([0, -12, 16, 20], 0.8, 1),
        ([128, 72, 160, 136], 0.8, 1),
    ]


@pytest.mark.parametrize(
    ("rows", "strides"), [(420, (8, 16, 32)), (426, (8, 16, 32, 64)), (1700, (4, 8, 16, 32))]
)
def test_strides_follow_from_the_number_of_rows(rows: int, strides: tuple[int, ...]) -> None:
    sample = sample_of(np.zeros((1, rows, 8), np.float32))
    assert KIND.fits(sample, sample.outputs[0])
    assert strides == KIND.make(sample, sample.outputs[0]).strides
    assert len(cell_grid(sample.size_wh, strides)) == rows


@pytest.mark.parametrize("shape", [(1, 421, 8), (1, 420, 5), (1, 420)])
def test_other_rows_do_not_fit(shape: tuple[int, ...]) -> None:
    sample = sample_of(np.zeros(shape, np.float32))
    assert not KIND.fits(sample, sample.outputs[0])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (tiny_models.yolox_raw(SCENE), True),
        (tiny_models.decoded_rows(SCENE), False),
        (tiny_models.yolox_raw([]), True),
    ],
    ids=["raw", "decoded", "raw without an object"],
)
def test_shows_tells_raw_values_from_pixels(rows: Array, *, expected: bool) -> None:
    sample = sample_of(rows)
    assert expected is KIND.shows(sample, sample.outputs[0])
    assert DECODED_KIND.shows(sample, sample.outputs[0])


def test_decoded_rows_are_read_as_pixels() -> None:
    rows = table([50, 40, 20, 10, 0.8, 0.5, 1], [50, 40, 20, 10, 0.8, 0.6, 0])
    head = DECODED_KIND.make(sample_of(rows), sample_of(rows).outputs[0])
    assert told(head.decode([rows], 0, wanting(0.5, 0.5))) == [([40, 35, 60, 45], 0.8, 1)]


def test_raw_has_boxes_only_when_they_are_pixels() -> None:
    rows = tiny_models.yolox_raw(SCENE)
    sample = sample_of(rows)
    raw, decoded = (kind.make(sample, sample.outputs[0]).raw([rows]) for kind in (KIND, DECODED_KIND))
    assert raw.boxes is None
    assert decoded.boxes is not None
    assert decoded.boxes.shape == (1, 420, 4)
