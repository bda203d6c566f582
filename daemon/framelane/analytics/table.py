"""The properties of all tracks, in arrays of streams by tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import DTypeLike, NDArray

    Indices = NDArray[np.intp]

_FIRST_STREAMS = 8
_FIRST_TRACKS = 8


class Column:
    """One property of all tracks.

    The same values in three shapes. Positions in one dimension are read and written in a third of the time that pairs
    of a row and a place take.

    Attributes:
        by_track: [..., S * T], by position in the table.
        flat: [... * S * T].
    """

    __slots__ = ("_data", "by_track", "flat")

    def __init__(self, dtype: DTypeLike, lead: tuple[int, ...], streams: int, tracks: int) -> None:
        self.data = np.zeros((*lead, streams, tracks), dtype)

    @property
    def data(self) -> NDArray[Any]:
        """[..., S, T]; S rows, one per stream, and T places, one per track. Leading dimensions are the property's."""
        return self._data

    @data.setter
    def data(self, data: NDArray[Any]) -> None:
        self._data = data
        self.by_track: NDArray[Any] = data.reshape(*data.shape[:-2], data.shape[-2] * data.shape[-1])
        self.flat: NDArray[Any] = data.reshape(-1)

    def put(self, at: Indices, values: NDArray[Any]) -> None:
        """Set a property with one leading dimension [L, ...] of tracks at these positions [N] to values [L, N]."""
        for part, value in zip(self.by_track, values, strict=True):
            part[at] = value


class TrackTable:
    """The tracks of many streams. A stream's tracks have the first places of its row. One thread at a time.

    Args:
        most: most tracks per stream.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)
        """Tracks per row [S]."""
        self._rows: dict[Hashable, int] = {}
        self._streams: dict[int, Hashable] = {}
        self._free: list[int] = []
        self._tracks = _FIRST_TRACKS
        self._columns: list[Column] = []

    @property
    def size(self) -> int:
        """Places in all rows."""
        return len(self.counts) * self._tracks

    def at(self, rows: Indices, places: Indices) -> Indices:
        """Return the positions of tracks in the table, given by row and place."""
        return rows * self._tracks + places

    def row_at(self, at: int) -> int:
        """Return the row of a position in the table."""
        return at // self._tracks

    def column(self, dtype: DTypeLike, *lead: int) -> Column:
        """Add a property with these leading dimensions; new tracks have undefined values of it."""
        column = Column(dtype, lead, len(self.counts), self._tracks)
        self._columns.append(column)
        return column

    def find(self, stream: Hashable) -> int | None:
        """Return a stream's row; None if it has none."""
        return self._rows.get(stream)

    def row(self, stream: Hashable) -> int:
        """Return a stream's row, a new one if it has none."""
        row = self._rows.get(stream)
        if row is None:
            if not self._free:
                self._grow(max(2 * len(self.counts), _FIRST_STREAMS), self._tracks)
            row = self._rows[stream] = self._free.pop()
            self._streams[row] = stream
        return row

    def stream(self, row: int) -> Hashable:
        """Return the stream of a row."""
        return self._streams[row]

    def remove(self, stream: Hashable) -> None:
        """Free a stream's row."""
        row = self._rows.pop(stream, None)
        if row is not None:
            del self._streams[row]
            self.counts[row] = 0
            self._free.append(row)

    def keep(self, rows: Indices, kept: NDArray[np.bool_]) -> NDArray[np.intp] | None:
        """Remove tracks and move those behind them forward.

        Args:
            rows: [R].
            kept: [R, T'], for the first T' places of each row; those without a track are not kept.

        Returns:
            The new place of each place [R, T'], meaningless for those that are gone; None if nothing moved.
        """
        left = kept.sum(axis=1)
        changed = np.flatnonzero(left < self.counts[rows])
        if not len(changed):
            return None
        for index in changed.tolist():
            row, stay = rows[index], np.flatnonzero(kept[index])
            for column in self._columns:
                column.data[..., row, : len(stay)] = column.data[..., row, stay]
        self.counts[rows] = left
        places: NDArray[np.intp] = np.cumsum(kept, axis=1) - 1
        return places

    def append(self, rows: Indices, index: Indices) -> tuple[Indices, NDArray[np.bool_]]:
        """Make room for new tracks.

        Args:
            rows: some rows [R].
            index: for each new track which of `rows` it goes to, ascending [M].

        Returns:
            The place of each, and whether it has one: a row holds `most` tracks [M].
        """
        rank = np.arange(len(index)) - np.searchsorted(index, index)
        places = (self.counts[rows[index]] + rank).astype(np.intp)
        fits = places < self.most
        needed = int(places[fits].max(initial=-1)) + 1
        if needed > self._tracks:
            self._grow(len(self.counts), min(2 * needed, self.most))
        np.add.at(self.counts, rows[index[fits]], 1)
        return places, fits

    def _grow(self, streams: int, tracks: int) -> None:
        before = len(self.counts)
        self._free += range(streams - 1, before - 1, -1)
        more = ((0, streams - before), (0, tracks - self._tracks))
        for column in self._columns:
            lead = ((0, 0),) * (column.data.ndim - 2)
            column.data = np.pad(column.data, (*lead, *more))
        self.counts = np.pad(self.counts, (0, streams - before))
        self._tracks = tracks
