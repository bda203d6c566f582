"""How figures are shown."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from framelane.measure.figures import Percentiles, Spread
from framelane.measure.report import (
    Goal,
    Section,
    figures_section,
    goals_section,
    latency_text,
    number,
    show,
    spread_cell,
)


class Sheet:
    def as_dict(self) -> dict[str, Any]:
        return {"frames": 1234}

    def sections(self) -> tuple[Section, ...]:
        return (figures_section("a title", {"frames": number(1234, 0)}),)


def shown(*, as_json: bool) -> str:
    file = io.StringIO()
    show(Sheet(), as_json=as_json, file=file)
    return file.getvalue()


def test_show_prints_tables() -> None:
    text = shown(as_json=False)

    assert text.startswith("a title\n")
    assert "frames   1,234" in text


def test_show_prints_json_alone_when_asked() -> None:
    assert json.loads(shown(as_json=True)) == {"frames": 1234}


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (Goal.at_most("p95", 150, 149.9, " ms"), ("p95", "<= 150 ms", "149.900", "yes")),
        (Goal.at_most("p95", 150, 150.1), ("p95", "<= 150", "150.100", "NO")),
        (Goal.at_least("efficiency", 0.9, 0.9), ("efficiency", ">= 0.9", "0.900", "yes")),
        (Goal.at_least("efficiency", 0.9, None), ("efficiency", ">= 0.9", "-", "NO")),
    ],
)
def test_goal_tells_whether_it_is_met(goal: Goal, expected: tuple[str, ...]) -> None:
    assert (expected,) == goals_section((goal,)).rows


def test_cells_hold_spreads_and_percentiles() -> None:
    assert spread_cell(Spread(2.0, 1.0, 3.04)) == "2.0 (1.0 to 3.0)"
    assert latency_text(Percentiles(1, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0)) == "1.0 / 2.0 / 3.0 / 4.0"
    assert latency_text(None) == "-"
