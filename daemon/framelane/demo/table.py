"""The live table: each stream's state, rates, drops, latency and last detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from framelane.core.worker import Worker
from framelane.telemetry.stats import StatsWindow

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from framelane.app import App
    from framelane.demo.watcher import Watcher
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import NodeStats, StreamStats

_COLOURS = {"live": "green", "connecting": "yellow", "stalled": "red", "down": "red"}
_EVERY_S = 1.0


class LiveTable(Worker):
    """Draws the table once a second, on a thread of its own, from figures of its own window."""

    def __init__(self, app: App, watcher: Watcher, footer: str, console: Console) -> None:
        super().__init__("table")
        self._app = app
        self._watcher = watcher
        self._footer = footer
        self._window = StatsWindow(app.meters, app.clock)
        self._live = Live(console=console, auto_refresh=False)
        self.last: RenderableType = ""
        """The table as it was drawn last while the daemon ran."""

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()
        super().start()

    def run_once(self) -> None:
        """Wait a second, then draw."""
        self.stopping.wait(_EVERY_S)
        if self._app.board.node().state != "offline":
            self.last = self._draw(self._window.close())
            self._live.update(self.last, refresh=True)

    def ended(self) -> None:
        """Leave the last table on the screen."""
        self._live.stop()

    def _draw(self, stats: NodeStats) -> RenderableType:
        table = Table(
            title=f"framelane demo: {self._app.board.node().text}",
            title_justify="left",
            expand=True,
            box=SIMPLE_HEAD,
        )
        table.add_column("stream", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for name in ("fps in", "inferred", "dropped/s", "p50 ms", "p95 ms"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("last detections", ratio=1, no_wrap=True)
        figures = {stream.stream: stream for stream in stats.streams}
        for state in self._app.board.streams():
            table.add_row(*self._row(state, figures[state.stream], stats.window_s))
        table.add_section()
        table.add_row("all", "", *_rates(stats, stats.window_s), "")
        used = f"CPU {stats.cpu_cores:.2f} cores, memory {stats.rss_bytes / 1e6:.0f} MB"
        return Group(table, Text(used, style="dim"), Text(self._footer))

    def _row(self, state: StreamState, stats: StreamStats, window_s: float) -> list[RenderableType]:
        shown = Text(state.state, style=_COLOURS[state.state])
        if not state.live:
            shown.append(f" {state.reason}", style="dim")
        return [state.stream, shown, *_rates(stats, window_s), self._watcher.of(state.stream).summary()]


def _rates(stats: StreamStats | NodeStats, window_s: float) -> list[str]:
    latency = stats.latency_ms
    return [
        f"{stats.fps_in:.1f}",
        f"{stats.fps_inferred:.1f}",
        f"{sum(stats.dropped.values()) / window_s:.1f}",
        f"{latency.p50:.0f}" if latency else "-",
        f"{latency.p95:.0f}" if latency else "-",
    ]
