"""Tracks keep their properties when others come, go and make room."""

from __future__ import annotations

import numpy as np

from framelane.analytics.table import TrackTable


def indices(*values: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.array(values, np.intp)


def test_new_tracks_follow_those_that_a_row_has() -> None:
    table = TrackTable(most=4)
    rows = indices(table.row("a"), table.row("b"))
    assert [each.tolist() for each in table.append(rows, indices(0, 0, 1))] == [[0, 1, 0], [True] * 3]
    places, fits = table.append(rows, indices(0, 0, 0, 1))
    assert (places[fits].tolist(), fits.tolist()) == ([2, 3, 1], [True, True, False, True])
    assert table.counts[rows].tolist() == [4, 2]


def test_properties_move_with_their_tracks_and_survive_growth() -> None:
    table = TrackTable(most=64)
    row = table.row("a")
    column, pair = table.column(np.int64), table.column(np.float64, 2)
    places, _ = table.append(indices(row), np.zeros(20, np.intp))
    column.data[row, places] = places
    pair.data[:, row, places] = [places, -places]
    for name in range(50):
        table.row(name)
    kept = (np.arange(20) % 3 == 0)[None]
    moved = table.keep(indices(row), kept)
    assert moved is not None
    assert moved[0, [0, 3, 6]].tolist() == [0, 1, 2]
    assert table.counts[row] == 7
    assert column.data[row, :7].tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert pair.data[1, row, :7].tolist() == [0, -3, -6, -9, -12, -15, -18]


def test_nothing_moves_when_all_stay() -> None:
    table = TrackTable(most=4)
    rows = indices(table.row("a"))
    table.append(rows, indices(0, 0))
    assert table.keep(rows, np.array([[True, True, False]])) is None


def test_rows_of_streams_that_have_left_are_used_again() -> None:
    table = TrackTable(most=4)
    for index in range(100):
        row = table.row(index)
        assert (table.find(index), table.stream(row)) == (row, index)
        table.append(indices(row), indices(0))
        table.remove(index)
        assert table.find(index) is None
    assert len(table.counts) <= 8
    assert not table.counts.any()


def test_positions_name_the_same_values_as_rows_and_places_before_and_after_growth() -> None:
    table = TrackTable(most=64)
    column, pair = table.column(np.int64), table.column(np.float64, 2)
    for tracks in (3, 40):
        rows = indices(*[table.row(name) for name in range(tracks)])
        places, fits = table.append(rows, indices(*range(tracks)))
        assert fits.all()
        at = table.at(rows, places)
        column.flat[at] = rows * 100 + places
        pair.put(at, np.array([rows, -places], np.float64))
        assert column.data[rows, places].tolist() == (rows * 100 + places).tolist()
        assert pair.data[:, rows, places].tolist() == [rows.tolist(), (-places).tolist()]
        assert pair.by_track.take(at, axis=1).tolist() == pair.data[:, rows, places].tolist()
        assert [table.row_at(each) for each in at.tolist()] == rows.tolist()
        assert column.flat.size == table.size
