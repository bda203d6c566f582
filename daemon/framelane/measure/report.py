"""Shows every benchmark's figures: tables for people, JSON for scripts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.measure.figures import Percentiles, Spread

LATENCY_COLUMNS = ("p50", "p90", "p95", "p99")

# For output that is not a terminal.
_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Section:
    """One table: the first column has names, the others figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Report(Protocol):
    """The result of a benchmark."""

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        ...

    def sections(self) -> tuple[Section, ...]:
        """Return the tables to show."""
        ...


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and its target."""

    what: str
    wanted: str
    value: float | None
    met: bool

    @staticmethod
    def at_most(what: str, limit: float, value: float | None, unit: str = "") -> Goal:
        """Return a goal with an upper limit."""
        return Goal(what, f"<= {limit:g}{unit}", value, value is not None and value <= limit)

    @staticmethod
    def at_least(what: str, limit: float, value: float | None, unit: str = "") -> Goal:
        """Return a goal with a lower limit."""
        return Goal(what, f">= {limit:g}{unit}", value, value is not None and value >= limit)


def figures_section(title: str, figures: Mapping[str, str]) -> Section:
    """Return a table of single figures, one per row."""
    return Section(title, ("figure", "value"), tuple(figures.items()))


def goals_section(goals: tuple[Goal, ...]) -> Section:
    """Return the goals as a table."""
    rows = tuple(
        (goal.what, goal.wanted, number(goal.value, 3), "yes" if goal.met else "NO") for goal in goals
    )
    return Section("Goals", ("goal", "wanted", "measured", "met"), rows)


def number(value: float | None, digits: int = 1) -> str:
    """Format a figure for a cell."""
    return "-" if value is None else f"{value:,.{digits}f}"


def latency_cells(latency: Percentiles | None) -> tuple[str, ...]:
    """Return the cells for LATENCY_COLUMNS."""
    if latency is None:
        return ("-",) * len(LATENCY_COLUMNS)
    return tuple(number(value) for value in (latency.p50, latency.p90, latency.p95, latency.p99))


def latency_text(latency: Percentiles | None) -> str:
    """Return the latencies in one cell."""
    return " / ".join(latency_cells(latency)) if latency else "-"


def spread_cell(spread: Spread, digits: int = 1) -> str:
    """Format a figure over rounds for a cell: median (lowest to highest)."""
    return f"{spread.median:,.{digits}f} ({spread.low:,.{digits}f} to {spread.high:,.{digits}f})"


def render(report: Report) -> Group:
    """Return all tables of a report."""
    return Group(*(part for section in report.sections() for part in (Text(section.title), _table(section))))


def to_json(report: Report) -> str:
    """Return a report as indented JSON."""
    return orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()


def show(report: Report, *, as_json: bool = False, file: TextIO | None = None) -> None:
    """Print a report to a file, or to standard output."""
    file = file or sys.stdout
    if as_json:
        file.write(f"{to_json(report)}\n")
    else:
        Console(file=file, width=None if file.isatty() else _WIDTH).print(render(report))


def _table(section: Section) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(section.columns):
        table.add_column(column, justify="right" if index else "left")
    for row in section.rows:
        table.add_row(*row)
    return table
