"""What is remembered of each object and rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.analytics.table import Column, TrackTable

    Indices = NDArray[np.intp]


class RuleState:
    """Columns [K, S, T] of the table of tracks, for as many rules as the stream with the most has.

    A pair of an object and a rule is given by its position in `Column.flat`.

    Args:
        table: the table.
    """

    def __init__(self, table: TrackTable) -> None:
        self._table = table
        self.rules = 0
        """K."""
        self.side = table.column(np.int8, 0)
        """Side of a line on which the object is armed: -1 left, 1 right, 0 neither."""
        self.led = table.column(np.int8, 0)
        """Side that the last step across the line led to, since the object was armed; else 0."""
        self.crossed_s = table.column(np.float64, 0)
        """When that step crossed it."""
        self.phase = table.column(np.int8, 0)
        """Whether the object is out of a zone, coming or in."""
        self.first_s = table.column(np.float64, 0)
        """Time of the first box inside."""
        self.last_s = table.column(np.float64, 0)
        """Time of the last box inside."""
        self.around_s = table.column(np.float64, 0)
        """Time of the last box inside or within the band."""
        self.boxes = table.column(np.int32, 0)
        """Boxes inside a zone, of an object that is coming; boxes in a row beyond a line, of one that is crossing."""
        self.loitered = table.column(np.bool_, 0)
        """Whether it has loitered on this visit."""

    @property
    def _columns(self) -> tuple[Column, ...]:
        return (
            self.side, self.led, self.crossed_s, self.phase, self.first_s, self.last_s, self.around_s, self.boxes,
            self.loitered,
        )  # fmt: skip

    def clear(self, at: Indices) -> None:
        """Begin with new objects, given by their positions in the table [N]."""
        for column in (self.side, self.led, self.phase, self.boxes):
            column.by_track[:, at] = 0

    def known(self, at: Indices, rules: int) -> NDArray[np.bool_]:
        """Return for the first rules of a stream and some objects whether anything is known of the pair [K, N]."""
        known: NDArray[np.bool_] = (
            self.side.by_track[:rules].take(at, axis=1) | self.phase.by_track[:rules].take(at, axis=1)
        ) != 0
        return known

    def at(self, number: Indices, at: Indices) -> Indices:
        """Return the positions of pairs of a rule, by its number, and an object, by its position in the table [P]."""
        return number * self._table.size + at

    def renumber(self, row: int, before: Sequence[int | None]) -> None:
        """Move what is remembered of a row's rules to their new numbers.

        Args:
            row: row of the table.
            before: for each rule its number before, None for a new one.
        """
        kept = [(number, old) for number, old in enumerate(before) if old is not None]
        self._make_room(len(before))
        new, old = [number for number, _ in kept], [number for _, number in kept]
        for column in self._columns:
            values = column.data[old, row]
            column.data[:, row] = 0
            column.data[new, row] = values

    def _make_room(self, rules: int) -> None:
        if rules > self.rules:
            for column in self._columns:
                more = ((0, rules - self.rules), (0, 0), (0, 0))
                column.data = np.pad(column.data, more)
            self.rules = rules
