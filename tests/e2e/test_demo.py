"""The demo, as a script runs it: cameras, model and broker embedded, and a summary as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.e2e
def test_demo_publishes_what_its_cameras_show_when_run_by_a_script(tmp_path: Path) -> None:
    pytest.importorskip(
        "iotcore", reason="the embedded broker is not installed: pip install 'framelane[demo]'"
    )
    picture = tmp_path / "demo.svg"
    command = [sys.executable, "-m", "framelane", "demo", "--streams", "2", "--seconds", "8", "--json"]
    done = subprocess.run(
        [*command, "--picture", str(picture)],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        timeout=90,
        check=True,
    )
    streams = json.loads(done.stdout)["streams"]
    assert list(streams) == ["cam00", "cam01"]
    for stream in streams.values():
        assert stream["messages_missing"] == 0
        assert stream["messages_received"] > 0
        assert set(stream["objects"]) & {"person", "car", "bicycle"}
        assert stream["last"]["schema"] == "framelane.detections/1"
        for count in (stream["line"]["left"], stream["line"]["right"]):
            assert count.keys() == {"counted", "true", "doubtful"}
    # The second street is never without a crossing for 4 s, but a busy host may give less than that.
    busy = streams["cam01"]
    crossed = sum(side["true"] + side["doubtful"] for side in busy["line"].values())
    assert crossed or busy["messages_received"] < 4 * 15
    config = yaml.safe_load((tmp_path / "framelane" / "demo" / "demo.yaml").read_text())
    assert config["media"]["folder"]
    assert config["defaults"]["snapshots"]
    rules = config["streams"]
    assert [(list(rule["lines"]), list(rule["zones"])) for rule in rules] == [(["street"], ["stretch"])] * 2
    assert not picture.exists()  # there is no table to draw with --json
