"""What is remembered of each object and rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.analytics.table import Column, TrackTable


class RuleState:
    """Columns [K, S, T] of the table of tracks, for as many rules as the stream with the most has.

    Args:
        table: the table.
    """

    def __init__(self, table: TrackTable) -> None:
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
        """Boxes inside, of an object that is coming."""
        self.loitered = table.column(np.bool_, 0)
        """Whether it has loitered on this visit."""

    @property
    def _columns(self) -> tuple[Column, ...]:
        return (
            self.side, self.led, self.crossed_s, self.phase, self.first_s, self.last_s, self.around_s, self.boxes,
            self.loitered,
        )  # fmt: skip

    def clear(self, row: NDArray[np.intp], place: NDArray[np.intp]) -> None:
        """Begin with new objects."""
        for column in (self.side, self.led, self.phase):
            column.data[:, row, place] = 0

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
