"""Search for the largest load that a machine holds, in as few attempts as possible."""

from __future__ import annotations

# The first step is a fifth of the last load.
_FIRST_STEP = 5
_FINE = 2


class LargestThatHolds:
    """Chooses the next load: outward from a guess until one holds and one fails, then halfway between.

    Args:
        guess: the load to try first.
        grid: loads are multiples of it.
        most: no load is larger.
    """

    def __init__(self, guess: int, grid: int, most: int) -> None:
        self._grid = grid
        self._most = most
        self._next: int | None = self._on_grid(guess)
        self._failed: int | None = None
        self.largest: int | None = None

    @property
    def next(self) -> int | None:
        """Return the load to try, or None if the search is finished."""
        return self._next

    def note(self, load: int, *, holds: bool) -> None:
        """Record whether a load held."""
        if holds:
            self.largest = max(load, self.largest or 0)
        else:
            self._failed = min(load, self._failed or load)
        self._next = self._choose()

    def _choose(self) -> int | None:
        low, high = self.largest, self._failed
        if low is None:
            assert high is not None  # noqa: S101 - `note` was called
            return self._unless(high, self._on_grid(high - max(high // _FIRST_STEP, self._grid)))
        if high is None:
            return self._unless(low, self._on_grid(low + max(low // _FIRST_STEP, self._grid)))
        if high - low <= self._grid:
            return None
        return self._unless(low, self._on_grid((low + high) // _FINE))

    def _on_grid(self, load: int) -> int:
        return min(max(load // self._grid * self._grid, self._grid), self._most)

    @staticmethod
    def _unless(tried: int, load: int) -> int | None:
        return None if load == tried else load
