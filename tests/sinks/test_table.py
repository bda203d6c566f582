"""A new kind of sink takes one file and one line in the table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from tests.models import tiny_models
from tests.neighbours.clips import ClipShape, draw_clip

ROOT = Path(__file__).parents[2]
BOX = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)
PROGRAM = """
import sys, threading, time
from framelane.config.sections.sinks import SINKS
SINKS["csv"] = "tests.sinks.csv_sink"
from pathlib import Path
from framelane.config.yaml.load import parse_config
from framelane.node.daemon import make_node
text = '''
csv: {path: out.csv}
models: {tiny: {path: tiny.onnx, size: [160, 128]}}
streams: [{id: clip, url: clip.mp4, realtime: false}]
'''
node = make_node(parse_config(text, Path.cwd(), {}), threading.Event())
node.start()
while not node.ended:
    time.sleep(0.05)
node.stop(10)
print([health.name for health in node.publisher.health()])
"""


def test_sink_of_one_file_and_one_line_writes_what_streams_show(tmp_path: Path) -> None:
    tiny_models.save(
        tmp_path / "tiny.onnx", [np.asarray(tiny_models.yolov8([BOX]))], metadata=tiny_models.NAMES
    )
    draw_clip(tmp_path, "h264", ClipShape(160, 128, 20)).rename(tmp_path / "clip.mp4")
    environment = {"PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "['csv']"
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in lines] == [["clip", str(seq), "person"] for seq in range(1, 21)]
