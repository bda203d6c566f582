"""The benchmark of the spool once, in short: that it runs and finds nothing lost, not how fast."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import orjson
from tests.neighbours.mosquitto import require_mosquitto

if TYPE_CHECKING:
    from pathlib import Path


def test_outage_costs_no_result(tmp_path: Path) -> None:
    require_mosquitto()
    short = ["--streams", "2", "--minutes", "0.05", "--compress", "1", "--seconds", "1"]
    result = tmp_path / "result.json"
    script = [sys.executable, "scripts/bench_spool.py", *short, "--json", str(result)]
    subprocess.run(script, check=True, timeout=90, capture_output=True)
    report = orjson.loads(result.read_bytes())
    assert (report["lost"], report["arrived"]["missing"], report["arrived"]["disordered"]) == (0, 0, 0)
    assert report["arrived"]["replayed"] > 60
    assert {goal["what"]: goal["met"] for goal in report["goals"]}["results lost"]
