"""Gives results back in the order in which their frames were taken, whichever slot finished first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.core.frames import Result


class InOrder:
    """Calls `deliver` for one result at a time, by batch number; a batch that failed completes with no results.

    Consumers count on it: `seq` never runs backwards, and trackers see a stream's frames in time order.
    """

    def __init__(self, deliver: Callable[[Result], None]) -> None:
        self._deliver = deliver
        self._lock = threading.Lock()
        self._done: dict[int, Sequence[Result]] = {}
        self._next = 0

    def complete(self, number: int, results: Sequence[Result]) -> None:
        """Note that a batch is done; deliver it and those that waited for it. Every number must come once."""
        with self._lock:
            self._done[number] = results
            while self._next in self._done:
                ready = self._done.pop(self._next)
                self._next += 1
                for result in ready:
                    self._deliver(result)
