"""Dashboard and alerts: every name in them is a metric of the daemon, and the alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.telemetry.test_prometheus import DOCUMENTED

from framelane.events.health import JournalHealth
from framelane.events.metrics import JournalCollector
from framelane.fleet.aggregate import Aggregate
from framelane.fleet.metrics import WorkerCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "framelane.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((DEPLOY / "prometheus" / "framelane.rules.yml").read_text(encoding="utf-8"))["groups"][
    0
]["rules"]
# Of the client library, and of Prometheus itself.
OTHERS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "up"}
LABELS = {
    "backend",
    "gpu",
    "hash",
    "instance",
    "job",
    "le",
    "model",
    "name",
    "reason",
    "sink",
    "stage",
    "state",
    "stream",
    "worker",
}


def known_metrics() -> set[str]:
    """The documented metrics (test_prometheus compares DOCUMENTED with the page), the workers' and those of events."""
    workers = WorkerCollector([], Aggregate([], [], [], lambda _: 0)).collect()
    events = JournalCollector(SimpleNamespace(states=(), health=JournalHealth())).collect()
    names = set(DOCUMENTED)
    names |= {f"{each.name}{'_total' * (each.type == 'counter')}" for each in (*workers, *events)}
    parts = {
        f"{name}{part}"
        for name, kind in DOCUMENTED.items()
        if kind == "histogram"
        for part in ("_bucket", "_sum", "_count")
    }
    return names | parts | OTHERS


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["label"], variable["definition"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_expression_names_metrics_and_labels_that_there_are(title: str, expression: str) -> None:
    names = set(re.findall(r"\b(?:framelane|process)_\w+|\bup\b", expression))
    assert names
    assert names <= known_metrics()
    named = re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", expression)
    grouped = re.findall(r"\b(?:by|on|group_left) \(([\w, ]*)\)", expression)
    used = set(named) | {label.strip() for group in grouped for label in group.split(",") if label.strip()}
    assert used <= LABELS, title


def test_dashboard_shows_what_an_operator_asks_for() -> None:
    text = " ".join(expression for _, expression in expressions())
    wanted = {
        "results_published_total", "frames_dropped_total", "latency_seconds_bucket", "batch_size_sum", "mqtt_connected",
        "mqtt_spool_messages", "gpu_utilization_ratio", "gpu_memory_used_bytes", "gpu_temperature_celsius",
        "gpu_decoder_utilization_ratio", "load_ratio", "stream_state", "sink_up", "sink_queued_messages",
        "sink_delivered_total", "sink_dropped_total", "mqtt_spool_up",
    }  # fmt: skip
    assert {name for name in wanted if f"framelane_{name}" not in text} == set()
    assert "heatmap" in {panel["type"] for panel in DASHBOARD["panels"]}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == [
        "datasource",
        "node",
        "stream",
    ]


def test_dashboard_panels_lie_side_by_side() -> None:
    """No two in one place, none past the right edge, each id once."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "command", ["check rules framelane.rules.yml", "test rules framelane.rules.test.yml"]
)
def test_alerts_fire_when_they_should(command: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(
        ["promtool", *command.split()], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_of_the_shipped_rules_are_tested() -> None:
    """All but those whose expression is a plain count over time."""
    tests = yaml.safe_load((DEPLOY / "prometheus" / "framelane.rules.test.yml").read_text(encoding="utf-8"))[
        "tests"
    ]
    tested = {case["alertname"] for test in tests for case in test["alert_rule_test"]}
    assert {rule["alert"] for rule in RULES} - tested == {
        "FramelaneStreamFlapping",
        "FramelaneWorkerRestarts",
    }
