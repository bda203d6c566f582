"""Counts of all workers as they are at the moment that they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.fleet.ledger import Ledger
    from framelane.fleet.supervisor import Supervisor
    from framelane.telemetry.meters import Counts

_FRESH_S = 0.5  # for a snapshot to come; a busy worker's is late, and counts in the next window


class FreshCounts:
    """Counts as they are now: a window's edges that were a second off would make rates wrong by a tenth."""

    def __init__(self, ledger: Ledger, supervisors: Sequence[Supervisor]) -> None:
        self._ledger = ledger
        self._supervisors = supervisors

    def snapshot(self) -> Counts:
        """All counts, after a word with every worker."""
        ask = {each.share.number: each.ask for each in self._supervisors if each.up}
        self._ledger.wait_fresh(ask, _FRESH_S)
        return self._ledger.snapshot()
