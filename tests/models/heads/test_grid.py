from __future__ import annotations

import pytest

from framelane.models.heads.grid import cell_grid, cells, strides_of


@pytest.mark.parametrize(
    ("size_wh", "rows", "anchors", "expected"),
    [
        ((640, 640), 8400, 1, (8, 16, 32)),
        ((640, 640), 25200, 3, (8, 16, 32)),
        ((640, 640), 8500, 1, (8, 16, 32, 64)),
        ((640, 640), 34000, 1, (4, 8, 16, 32)),
        ((416, 416), 3549, 1, (8, 16, 32)),
        ((640, 384), 5040, 1, (8, 16, 32)),
        ((640, 640), 8401, 1, None),
        ((640, 640), 8400, 3, None),
        ((640, 640), 0, 1, None),
    ],
)
def test_strides_of_are_those_whose_cells_are_the_rows(
    size_wh: tuple[int, int], rows: int, anchors: int, expected: tuple[int, ...] | None
) -> None:
    assert expected == strides_of(size_wh, rows, anchors)


def test_cells_count_those_that_the_edge_cuts() -> None:
    assert (cells((64, 64), (32,)), cells((65, 64), (32,)), cells((65, 65), (32,))) == (4, 6, 9)


def test_cell_grid_goes_row_by_row_and_level_by_level() -> None:
    assert cell_grid((96, 64), (32, 64)).tolist() == [
        [0, 0, 32],
        [1, 0, 32],
        [2, 0, 32],
        [0, 1, 32],
        [1, 1, 32],
        [2, 1, 32],
        [0, 0, 64],
        [1, 0, 64],
    ]
