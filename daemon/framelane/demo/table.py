"""The live table: each stream's state, rates, drops, latency and last detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from framelane.core.worker import Worker
from framelane.demo.warm_up import WarmUp
from framelane.telemetry.stats import StatsWindow

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from framelane.demo.watcher import Watcher
    from framelane.node.node import Node
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import NodeStats, StreamStats

_COLORS = {"live": "green", "connecting": "yellow", "stalled": "red", "down": "red"}
_EVERY_S = 1.0
_FIGURES = ("fps in", "inferred", "dropped/s", "p50 ms", "p95 ms")
_NO_FIGURE = "-"


class LiveTable(Worker):
    """Draws the table once per second, on its own thread, with figures from its own window."""

    def __init__(self, node: Node, watcher: Watcher, footer: str, console: Console) -> None:
        super().__init__("table")
        self._node = node
        self._watcher = watcher
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
        if self._node.board.node().state != "offline":
            self.last = self._draw(self._window.close())
            self._live.update(self.last, refresh=True)

    def ended(self) -> None:
        """Leave the last table on the screen."""
        self._live.stop()

    def _draw(self, stats: NodeStats) -> RenderableType:
        states = self._node.board.streams()
        self._warm_up.see(stats.fps_inferred, all_live=all(state.live for state in states))
        warming = "" if self._warm_up.over else " (warming up)"
        table = Table(
            title=f"framelane demo: {self._node.board.node().text}{warming}",
            title_justify="left",
            expand=True,
            box=SIMPLE_HEAD,
        )
        table.add_column("stream", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for name in _FIGURES:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("last detections", ratio=1, no_wrap=True)
        figures = {stream.stream: stream for stream in stats.streams}
        for state in states:
            table.add_row(*self._row(state, figures[state.stream], stats.window_s))
        table.add_section()
        table.add_row("all", "", *self._rates(stats, stats.window_s), "")
        used = f"CPU {stats.cpu_cores:.2f} cores, memory {stats.rss_bytes / 1e6:.0f} MB"
        return Group(table, Text(used, style="dim"), Text(self._footer))

    def _row(self, state: StreamState, stats: StreamStats, window_s: float) -> list[RenderableType]:
        shown = Text(state.state, style=_COLORS[state.state])
        if not state.live:
            shown.append(f" {state.reason}", style="dim")
        return [state.stream, shown, *self._rates(stats, window_s), self._watcher.of(state.stream).summary()]

    def _rates(self, stats: StreamStats | NodeStats, window_s: float) -> list[str]:
        return _figures(stats, window_s) if self._warm_up.over else [_NO_FIGURE] * len(_FIGURES)


def _figures(stats: StreamStats | NodeStats, window_s: float) -> list[str]:
    latency = stats.latency_ms
    return [
        f"{stats.fps_in:.1f}",
        f"{stats.fps_inferred:.1f}",
        f"{sum(stats.dropped.values()) / window_s:.1f}",
        f"{latency.p50:.0f}" if latency else _NO_FIGURE,
        f"{latency.p95:.0f}" if latency else _NO_FIGURE,
    ]
