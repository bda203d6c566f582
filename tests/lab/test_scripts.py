"""The main benchmark's script, as it runs where mosquitto is not installed: that it measures, not how fast."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from lab.null_model import write_null_model

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
def test_bench_pipeline_counts_results_when_the_broker_is_the_embedded_one(tmp_path: Path) -> None:
    pytest.importorskip(
        "iotcore", reason="the embedded broker is not installed: pip install 'framelane[demo]'"
    )
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "scripts/bench_pipeline.py"), "--broker", "embedded"]
    command += ["--clip", str(draw_clip(tmp_path, "h264", ClipShape(frames=50)))]
    command += ["--model", str(write_null_model(tmp_path / "null.onnx"))]
    command += ["--streams", "1", "--rounds", "1", "--seconds", "2", "--warmup", "0"]
    done = subprocess.run(
        [*command, "--alone-seconds", "0.5", "--json", str(figures)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (measured,) = orjson.loads(figures.read_bytes())["rounds"]
    assert measured["daemon"]["arrival_ms"] is not None
    assert measured["daemon"]["streams_fps"]["cam00"] > 0
    assert measured["daemon"]["missing"] == 0
