from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from tests.events.desk import begun, config_of
from tests.events.examples import crossing, line_state, zone_state

from framelane.core.events import Occupancy
from framelane.events.health import JournalHealth
from framelane.events.metrics import JournalCollector


def scraped(journal: Any) -> list[str]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(JournalCollector(journal))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_counters_and_counts_are_metrics_and_what_is_unknown_is_absent() -> None:
    unknown = {"count": None, "since": None}
    states = [
        line_state(),
        line_state(line="gone", left=None, right=None, epoch=None),
        zone_state(),
        zone_state(zone="dark", **unknown),
    ]
    health = JournalHealth(3, 4096, 1.5, "the disk is full", {"size": 2})
    assert scraped(SimpleNamespace(states=states, health=health)) == [
        'framelane_line_crossings_total{direction="left",label="person",line="street",stream="lobby"} 42.0',
        'framelane_line_crossings_total{direction="right",label="person",line="street",stream="lobby"} 7.0',
        'framelane_zone_objects{label="person",stream="lobby",zone="yard"} 2.0',
        "framelane_journal_up 0.0",
        "framelane_journal_events 3.0",
        "framelane_journal_bytes 4096.0",
        "framelane_journal_oldest_seconds 1.5",
        'framelane_journal_dropped_total{reason="size"} 2.0',
    ]


def test_journal_tells_its_metrics(tmp_path: Path) -> None:
    with begun(config_of(tmp_path)) as desk:
        desk.state("live")
        desk.turn(crossing(1), Occupancy("lobby", "yard", "person", 3, 0.0))
        desk.turn(after_s=2)
        lines = scraped(desk.journal)
    assert 'framelane_zone_objects{label="person",stream="lobby",zone="yard"} 3.0' in lines
    assert (
        'framelane_line_crossings_total{direction="left",label="person",line="street",stream="lobby"} 1.0'
        in lines
    )
    assert "framelane_journal_up 1.0" in lines
    assert "framelane_journal_events 1.0" in lines
    for reason in ("queue", "size", "age", "corrupt"):
        assert f'framelane_journal_dropped_total{{reason="{reason}"}} 0.0' in lines


def test_docs_list_every_metric_of_events() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `((?:line|zone|journal)_\w+)` \|", text, re.MULTILINE))
    journal = SimpleNamespace(states=[line_state(), zone_state()], health=JournalHealth(dropped={"size": 1}))
    names = {re.split(r"[{ ]", line)[0].removeprefix("framelane_") for line in scraped(journal)}
    assert documented == names
