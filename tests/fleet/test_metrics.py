from __future__ import annotations

import re
from pathlib import Path

from framelane.fleet.aggregate import Aggregate
from framelane.fleet.metrics import WorkerCollector

DOCUMENTED = {"worker_up", "worker_restarts_total", "worker_resident_memory_bytes"}


def test_docs_list_every_metric_of_workers() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(worker_\w+)` \|", text, re.MULTILINE)) == DOCUMENTED


def test_collector_has_the_documented_metrics() -> None:
    families = list(WorkerCollector([], Aggregate([], [], [], len)).collect())
    names = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    assert {name.removeprefix("framelane_") for name in names} == DOCUMENTED
