"""Up-to-date counts of all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.fleet.aggregate import Aggregate
    from framelane.fleet.supervisor import Supervisor
    from framelane.telemetry.meters import Counts

# Wait for snapshots; a busy worker's later snapshot counts in the next window.
_FRESH_S = 0.5


class FreshCounts:
    """Asks all workers for counts: with window edges up to a second off, rates would be wrong by a tenth."""

    def __init__(self, totals: Aggregate, supervisors: Sequence[Supervisor]) -> None:
        self._totals = totals
        self._supervisors = supervisors

    def snapshot(self) -> Counts:
        """Ask every running worker for a snapshot and return all counts."""
        ask = {each.share.number: each.ask for each in self._supervisors if each.up}
        self._totals.wait_fresh(ask, _FRESH_S)
        return self._totals.snapshot()
