"""The live table: each stream's state, rates, drops and latency, and its counts beside the street's own truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.live import Live

from framelane.core.worker import Worker
from framelane.demo.screen import Counts, Rates, Row, Screen
from framelane.demo.warm_up import WarmUp
from framelane.telemetry.stats import StatsWindow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, RenderableType

    from framelane.demo.referee import Referee
    from framelane.demo.watcher import Watcher
    from framelane.node.node import Node
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import NodeStats, StreamStats

_EVERY_S = 1.0


class LiveTable(Worker):
    """Draws the table once per second, on its own thread, with figures from its own window.

    Args:
        node: the daemon.
        watcher: what a subscriber got from it.
        referee: what is true.
        footer: text below the table.
        console: the terminal.
    """

    def __init__(self, node: Node, watcher: Watcher, referee: Referee, footer: str, console: Console) -> None:
        super().__init__("table")
        self._node = node
        self._watcher = watcher
        self._referee = referee
        self._footer = footer
        self._window = StatsWindow(node.pipeline.meters, node.clock)
        self._warm_up = WarmUp()
        self._live = Live(console=console, auto_refresh=False)
        self.last: RenderableType = ""
        """The last table drawn while the daemon ran."""

    def start(self) -> None:
        """Start drawing."""
        self._live.start()
        super().start()

    def run_once(self) -> None:
        """Wait a second, then draw."""
        self.stopping.wait(_EVERY_S)
        # Up to the newest result, or the truth would lag behind the counts.
        self._referee.look()
        stats, node = self._window.close(), self._node.board.node()
        if node.state != "offline":
            self.last = self._draw(stats, node.text)
            self._live.update(self.last, refresh=True)

    def ended(self) -> None:
        """Leave the last table on the screen."""
        self._live.stop()

    def _draw(self, stats: NodeStats, text: str) -> Screen:
        states = self._node.board.streams()
        self._warm_up.see(stats.fps_inferred, all_live=all(state.live for state in states))
        warming = "" if self._warm_up.over else " (warming up)"
        figures = {stream.stream: stream for stream in stats.streams}
        rows = [self._row(state, figures[state.stream], stats.window_s) for state in states]
        return Screen(
            f"framelane demo: {text}{warming}",
            rows,
            Row("all", "", "", self._rates(stats, stats.window_s), _total(row.counts for row in rows), ""),
            f"CPU {stats.cpu_cores:.2f} cores, memory {stats.rss_bytes / 1e6:.0f} MB",
            self._footer,
        )

    def _row(self, state: StreamState, stats: StreamStats, window_s: float) -> Row:
        watched = self._watcher.of(state.stream)
        return Row(
            state.stream,
            state.state,
            "" if state.live else str(state.reason),
            self._rates(stats, window_s),
            counts_of(self._watcher, self._referee, state.stream),
            watched.summary(),
        )

    def _rates(self, stats: StreamStats | NodeStats, window_s: float) -> Rates | None:
        if not self._warm_up.over:
            return None
        dropped, latency = sum(stats.dropped.values()) / window_s, stats.latency_ms
        p50_ms, p95_ms = (latency.p50, latency.p95) if latency else (None, None)
        return Rates(stats.fps_in, stats.fps_inferred, dropped, p50_ms, p95_ms)


def counts_of(watcher: Watcher, referee: Referee, stream: str) -> Counts | None:
    """Return what is counted of a stream and what is true; None before its first result."""
    watched, tally = watcher.of(stream), referee.of(stream)
    if watched.first is None:
        return None
    return Counts(
        watched.crossed("left"),
        tally.crossed("left"),
        watched.crossed("right"),
        tally.crossed("right"),
        watched.inside,
        tally.inside,
    )


def _total(counts: Iterable[Counts | None]) -> Counts | None:
    """Return the sums over all streams that have counts; an unknown number of objects in a zone adds nothing."""
    total: Counts | None = None
    for each in filter(None, counts):
        total = each if total is None else total + each
    return total
