"""Measure what snapshots take: CPU time of the demo's streets with and without them, on this machine.

On a GPU host the streets are decoded and inferred there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from framelane.config.yaml.load import parse_config
from framelane.core.log import setup
from framelane.demo.clips import ensure_clips
from framelane.node.node import Node
from framelane.pipeline.local import LocalPipeline

if TYPE_CHECKING:
    from framelane.config.sections.schema import Config
    from framelane.node.pipeline import NodeParts, Pipeline

MODEL = files("framelane.demo") / "assets" / "framelane-demo.onnx"
RULES = {
    "lines": {"middle": {"points": [[0.5, 0.0], [0.5, 1.0]]}},
    "zones": {"road": {"polygon": [[0, 0.4], [1, 0.4], [1, 1], [0, 1]], "loiter_s": 2}},
}
WARM_UP_S = 3.0
# The second one brings frames from a GPU.
THREADS = ("snapshots", "fetch-street")


def main() -> int:
    """Run both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run")
    options = parser.parse_args()
    setup("error")
    for name, snapshots in (("without", None), ("with", {})):
        cpu_s, own_s, kept, lost = _run(options, snapshots)
        share = f"{own_s / options.seconds:.2%} of a core in their own threads"
        each = f", {own_s / kept * 1e3:.1f} ms each" if kept else ""
        print(f"{name:8} {cpu_s / options.seconds:.3f} cores in all, {share}{each}; {kept} kept, {lost} lost")
    return 0


def _run(options: argparse.Namespace, snapshots: dict[str, Any] | None) -> tuple[float, float, int, int]:
    """Return CPU seconds of the process and of the thread, and the snapshots kept and lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = ensure_clips(Path(tempfile.gettempdir()) / "framelane-bench-streets", min(options.streams, 4))
        stream = {"track": True, "loop": True, "fps": options.fps, "snapshots": snapshots, **RULES}
        config = {
            "node": {"id": "bench"},
            "log": {"level": "warning"},
            "jsonl": {"path": str(folder / "out.jsonl")},
            "media": {"folder": "media"},
            "models": {"street": {"path": str(MODEL)}},
            "streams": [
                {"id": f"cam{number}", "url": str(clips[number % len(clips)]), **stream}
                for number in range(options.streams)
            ],
        }
        node = Node(parse_config(json.dumps(config), folder, {}), _local)
        node.start()
        time.sleep(WARM_UP_S)
        before_s, own_before_s = time.process_time(), _own_s()
        kept_before, lost_before = _fates(node)
        time.sleep(options.seconds)
        cpu_s, own_s = time.process_time() - before_s, _own_s() - own_before_s
        kept, lost = _fates(node)
        node.stop(10)
    return cpu_s, own_s, kept - kept_before, lost - lost_before


def _fates(node: Node) -> tuple[int, int]:
    """Return how many snapshots were kept so far, and how many were lost."""
    fates = [each.snapshots for each in node.pipeline.meters.snapshot().streams.values()]
    kept = sum(each["kept"] for each in fates)
    return kept, sum(sum(each.values()) for each in fates) - kept


def _local(config: Config, parts: NodeParts) -> Pipeline:
    return LocalPipeline(config, parts.board, parts.publisher, parts.clock, parts.events)


def _own_s() -> float:
    """Return the CPU seconds of the threads that only make snapshots."""
    spent_s = 0.0
    for thread in psutil.Process().threads():
        path = Path(f"/proc/self/task/{thread.id}/comm")
        if path.exists() and path.read_text(encoding="utf-8").strip() in THREADS:
            spent_s += thread.user_time + thread.system_time
    return spent_s


if __name__ == "__main__":
    sys.exit(main())
