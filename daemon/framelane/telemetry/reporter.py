"""The thread that keeps time for telemetry: spots stalls and a wedged pipeline, closes statistics windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.core.worker import Worker
from framelane.telemetry.status import TICK_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.core.clock import Clock
    from framelane.telemetry.stats import NodeStats, StatsWindow
    from framelane.telemetry.status import StatusBoard


class Reporter(Worker):
    """Ticks the board every TICK_S, and every `stats_s` hands the closed window to each of `readers`."""

    def __init__(
        self,
        board: StatusBoard,
        window: StatsWindow,
        progress: Callable[[], float] | None,
        readers: Sequence[Callable[[NodeStats], None]],
        stats_s: float,
        clock: Clock,
    ) -> None:
        super().__init__("reporter")
        self.waiting_s = 0.0
        """Seconds for which frames have waited without any being inferred, as `progress` tells; 0 without it."""
        self._board = board
        self._window = window
        self._progress = progress
        self._readers = readers
        self._stats_s = stats_s
        self._clock = clock
        self._due_s = clock.monotonic() + stats_s
        self._looked_s = clock.monotonic()

    @property
    def looked_ago_s(self) -> float:
        """Seconds since it last looked; many where it hangs, and `waiting_s` is old news."""
        return self._clock.monotonic() - self._looked_s

    def start(self) -> None:
        """Start the thread; what was built before it took its time."""
        self._looked_s = self._clock.monotonic()
        super().start()

    def run_once(self) -> None:
        """Wait for a tick, then look."""
        self.stopping.wait(TICK_S)
        self._looked_s = self._clock.monotonic()
        self._board.tick()
        if self._progress is not None:
            self.waiting_s = self._progress()
        now_s = self._clock.monotonic()
        if now_s >= self._due_s:
            self._due_s = max(self._due_s + self._stats_s, now_s)
            self.report()

    def report(self) -> None:
        """Close the window and hand it on."""
        stats = self._window.close()
        for read in self._readers:
            read(stats)
