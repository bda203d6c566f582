"""What the demo shows in a terminal: a row per stream, and what belongs to all of them, as wide as there is room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from framelane.demo.street_rules import TrueCount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

_Sum = TypeVar("_Sum", int, TrueCount)
_WIDE = 110
"""Columns of a terminal from which there is room for everything."""
_COLORS = {"live": "green", "connecting": "yellow", "stalled": "red", "down": "red"}
_NO_FIGURE = "-"
_LEGEND = "left, right: crossings of the line, counted/true; in zone: objects, counted/true"


@dataclass(frozen=True, slots=True)
class Rates:
    """Figures of one second.

    Attributes:
        read: frames read per second.
        inferred: frames inferred per second.
        dropped: frames dropped per second.
        p50_ms: median latency; None if nothing was published.
        p95_ms: its 95th percentile; None likewise.
    """

    read: float
    inferred: float
    dropped: float
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What the rules have counted, and what is true.

    Attributes:
        left: objects that crossed the line to its left.
        true_left: those that really did.
        right: objects that crossed it to its right.
        true_right: those that really did.
        inside: objects in the zone; None while unknown.
        true_inside: those that really are; None while unknown.
    """

    left: int
    true_left: TrueCount
    right: int
    true_right: TrueCount
    inside: int | None
    true_inside: TrueCount | None

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.left + other.left,
            self.true_left + other.true_left,
            self.right + other.right,
            self.true_right + other.true_right,
            _sum(self.inside, other.inside),
            _sum(self.true_inside, other.true_inside),
        )


def _sum(one: _Sum | None, other: _Sum | None) -> _Sum | None:
    """Return the sum of what is known."""
    return one if other is None else other if one is None else one + other


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        stream: its name.
        state: of the stream; empty in the last line.
        reason: why it is not live; empty if it is.
        rates: None while warming up.
        counts: None before the first result.
        found: objects of the newest result.
    """

    stream: str
    state: str
    reason: str
    rates: Rates | None
    counts: Counts | None
    found: str


@dataclass(frozen=True, slots=True)
class Screen:
    """The whole of it.

    Attributes:
        title: above the table.
        rows: one per stream.
        total: of all streams.
        used: what the daemon uses.
        footer: where else to look.
    """

    title: str
    rows: Sequence[Row]
    total: Row
    used: str
    footer: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it; without room the median and the objects are left out."""
        wide = options.max_width >= _WIDE
        table = Table(
            title=self.title,
            title_justify="left",
            expand=True,
            box=SIMPLE_HEAD,
            padding=(0, int(wide), 0, 0),
        )
        for name in ("stream", "state"):
            table.add_column(name, no_wrap=True)
        figures = ("fps in", "inferred", "dropped/s", "p50 ms", "p95 ms", "left", "right", "in zone")
        for name in figures if wide else figures[:3] + figures[4:]:
            table.add_column(name, justify="right", no_wrap=True)
        if wide:
            table.add_column("last detections", ratio=1, no_wrap=True)
        for row in self.rows:
            table.add_row(*_cells(row, wide=wide))
        table.add_section()
        table.add_row(*_cells(self.total, wide=wide))
        yield table
        yield Text(self.used, style="dim")
        yield Text(_LEGEND, style="dim")
        yield Text(self.footer)


def _cells(row: Row, *, wide: bool) -> list[Text]:
    state = Text(row.state, style=_COLORS.get(row.state, ""))
    if row.reason:
        state.append(f" {row.reason}", style="dim")
    figures = _figures(row.rates)
    shown = [*(figures if wide else figures[:3] + figures[4:]), *_counted(row.counts)]
    found = [row.found] if wide else []
    return [Text(row.stream), state, *map(Text, (*shown, *found))]


def _figures(rates: Rates | None) -> list[str]:
    if rates is None:
        return [_NO_FIGURE] * 5
    latency = (_NO_FIGURE if each is None else f"{each:.0f}" for each in (rates.p50_ms, rates.p95_ms))
    return [f"{rates.read:.1f}", f"{rates.inferred:.1f}", f"{rates.dropped:.1f}", *latency]


def _counted(counts: Counts | None) -> list[str]:
    if counts is None:
        return [_NO_FIGURE] * 3
    inside = _NO_FIGURE if counts.inside is None else str(counts.inside)
    true_inside = _NO_FIGURE if counts.true_inside is None else _true(counts.true_inside)
    return [
        f"{counts.left}/{_true(counts.true_left)}",
        f"{counts.right}/{_true(counts.true_right)}",
        f"{inside}/{true_inside}",
    ]


def _true(count: TrueCount) -> str:
    """Return a count; a range if a detector need not find them all."""
    return f"{count.sure}-{count.sure + count.doubtful}" if count.doubtful else str(count.sure)
