"""The demo's table fits a terminal of 80 columns, and says more where there is room."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from framelane.demo.screen import Counts, Rates, Row, Screen
from framelane.demo.street_rules import TrueCount

RATES = Rates(15.0, 14.9, 0.1, 123.4, 1234.0)
COUNTS = Counts(104, TrueCount(101, 0), 98, TrueCount(97, 12), 12, TrueCount(10, 0))
UNKNOWN = Counts(0, TrueCount(0, 0), 0, TrueCount(0, 0), None, None)


def drawn(width: int, rows: list[Row]) -> list[str]:
    screen = Screen(
        "framelane demo: online",
        rows,
        Row("all", "", "", RATES, COUNTS, ""),
        "CPU 1.23 cores, memory 345 MB",
        "page:       http://127.0.0.1:8080/",
    )
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(screen)
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [80, 100, 110, 120])
@pytest.mark.parametrize("streams", [1, 16])
def test_nothing_is_cut_off_at_any_usual_width(width: int, streams: int) -> None:
    rows = [Row(f"cam{n:02d}", "live", "", RATES, COUNTS, "2 person, 1 car") for n in range(streams)]
    lines = drawn(width, rows)
    assert max(map(len, lines)) <= width
    assert not [line for line in lines if "…" in line]
    # Title, a blank line, head and rule; a blank line, the sum and another; what is below.
    assert len(lines) <= streams + 11
    (row,) = [line.split() for line in lines if line.lstrip().startswith("cam00")]
    shown = ["cam00", "live", "15.0", "14.9", "0.1", "123", "1234", "104/101", "98/97-109", "12/10"]
    wide = [*shown, "2", "person,", "1", "car"]
    assert row == (wide if width >= 110 else [each for each in shown if each != "123"])


def test_what_is_not_known_yet_is_a_dash() -> None:
    rows = [
        Row("cam00", "connecting", "", None, None, ""),
        Row("cam01", "live", "", RATES, UNKNOWN, "-"),
        Row("cam02", "down", "refused", RATES, COUNTS, "-"),
    ]
    lines = [line.split() for line in drawn(120, rows) if line.lstrip().startswith("cam")]
    assert lines[0] == ["cam00", "connecting", *"--------"]
    assert lines[1][-4:] == ["0/0", "0/0", "-/-", "-"]
    assert lines[2][1:3] == ["down", "refused"]


def test_sum_adds_what_is_known() -> None:
    total = COUNTS + UNKNOWN + COUNTS
    assert (total.left, total.true_right, total.inside) == (208, TrueCount(194, 24), 24)
    assert total.true_inside == TrueCount(20, 0)
    assert ((UNKNOWN + UNKNOWN).inside, (UNKNOWN + UNKNOWN).true_inside) == (None, None)
