"""Measure a second model on the demo's streets: crops per second, and what it takes from the first model.

One node runs all the time, and the second model comes and goes by a live change, so that other load on the
machine hits both alike.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from framelane.config.yaml.load import parse_config
from framelane.core.log import setup
from framelane.demo.clips import ensure_clips
from framelane.node.node import Node
from framelane.pipeline.local import LocalPipeline
from lab.classifier import write_classifier

if TYPE_CHECKING:
    from framelane.config.sections.schema import Config
    from framelane.node.pipeline import NodeParts, Pipeline
    from framelane.telemetry.meters import Counts

MODEL = files("framelane.demo") / "assets" / "framelane-demo.onnx"
SCENES = 4


class Moment(NamedTuple):
    """All counts at one time, and the CPU time so far: of the process, and of its threads by name."""

    counts: Counts
    at_s: float
    cpu_s: float
    threads_s: dict[str, float]


@dataclass
class Sum:
    """Figures of all runs of one kind."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    inferred: int = 0
    replaced: int = 0
    sent: int = 0
    answered: int = 0
    latency_s: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)
    threads_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, before: Moment, after: Moment) -> None:
        """Add a window."""
        self.seconds += after.at_s - before.at_s
        self.cpu_s += after.cpu_s - before.cpu_s
        for name, spent_s in after.threads_s.items():
            self.threads_s[name] += spent_s - before.threads_s.get(name, 0.0)
        for sign, counts in ((-1, before.counts), (1, after.counts)):
            for stream in counts.streams.values():
                self.inferred += sign * stream.inferred
                self.replaced += sign * stream.dropped["replaced"]
                for crops in stream.crops.values():
                    self.sent += sign * crops.sent
                    self.answered += sign * crops.answered
                    self.latency_s += sign * crops.latency.total
                    for reason, count in crops.dropped.items():
                        self.dropped[reason] += sign * count

    def per_frame_ms(self, *threads: str) -> float:
        """Return the CPU time of these threads for each frame that the first model inferred."""
        return 1e3 * sum(self.threads_s[name] for name in threads) / self.inferred

    @property
    def rate(self) -> float:
        """Frames per second that the first model inferred."""
        return self.inferred / self.seconds


def main() -> int:
    """Run both kinds in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--fps", type=float, default=5.0, help="of each stream")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=6, help="windows with and without")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds before each window")
    parser.add_argument("--first", type=Path, default=None, help="ONNX file; the demo's model by default")
    parser.add_argument("--second", type=Path, default=None, help="ONNX file; random weights by default")
    parser.add_argument("--labels", default="auto", help="of the second model's file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    setup("error")
    sums = {"without": Sum(), "with": Sum()}
    with tempfile.TemporaryDirectory() as name:
        _run(options, Path(name), sums)
    print(json.dumps(_as_json(sums)) if options.json else _table(sums))
    return 0


def _run(options: argparse.Namespace, folder: Path, sums: dict[str, Sum]) -> None:
    """Measure windows with and without the second model in turns."""
    configs = {name: _config(options, folder, cascade=name == "with") for name in sums}
    node = Node(configs["without"], _local)
    node.start()
    node.prepare(configs["with"])
    try:
        for number in range(options.rounds):
            for name, figures in sorted(sums.items(), reverse=number % 2 == 1):
                node.commit(configs[name])
                time.sleep(options.settle)
                before = _now(node)
                time.sleep(options.seconds)
                figures.add(before, _now(node))
    finally:
        node.stop(10)


def _now(node: Node) -> Moment:
    return Moment(node.pipeline.meters.snapshot(), time.monotonic(), time.process_time(), _threads_s())


def _threads_s() -> dict[str, float]:
    """Return the CPU seconds of this process's threads, by name without the slot's number."""
    found: defaultdict[str, float] = defaultdict(float)
    for thread in psutil.Process().threads():
        path = Path(f"/proc/self/task/{thread.id}/comm")
        with suppress(OSError):
            name = path.read_text(encoding="utf-8").strip().rstrip("-0123456789")
            found[name] += thread.user_time + thread.system_time
    return found


def _config(options: argparse.Namespace, folder: Path, *, cascade: bool) -> Config:
    clips = ensure_clips(Path(tempfile.gettempdir()) / "framelane-bench-streets", SCENES)
    models: dict[str, Any] = {"street": {"path": str(options.first or MODEL)}}
    if cascade:
        second = options.second or write_classifier(folder / "second.onnx")
        models["second"] = {"path": str(second), "of": "street", "labels": options.labels, "confidence": 0}
    config = {
        "node": {"id": "bench"},
        "log": {"level": "warning"},
        "jsonl": {"path": str(folder / "out.jsonl")},
        "models": models,
        "streams": [
            {
                "id": f"cam{number}",
                "url": str(clips[number % SCENES]),
                "fps": options.fps,
                "loop": True,
                "track": True,
            }
            for number in range(options.streams)
        ],
    }
    return parse_config(json.dumps(config), folder, {})


def _local(config: Config, parts: NodeParts) -> Pipeline:
    return LocalPipeline(config, parts.board, parts.publisher, parts.clock, parts.events)


def _as_json(sums: dict[str, Sum]) -> dict[str, Any]:
    return {
        name: {
            "first_fps": round(each.rate, 2),
            "replaced": each.replaced,
            "cpu_cores": round(each.cpu_s / each.seconds, 3),
            "crops_per_s": round(each.sent / each.seconds, 2),
            "answered_per_s": round(each.answered / each.seconds, 2),
            "latency_ms": round(1e3 * each.latency_s / each.answered, 1) if each.answered else None,
            "dropped": {reason: count for reason, count in each.dropped.items() if count},
            "delivery_ms_per_frame": round(each.per_frame_ms("deliver-street"), 3),
            "second_ms_per_frame": round(each.per_frame_ms("infer-second", "deliver-second"), 3),
            "cpu_ms_per_frame": round(1e3 * each.cpu_s / each.inferred, 3),
        }
        for name, each in sums.items()
    } | {"first_fps_change": round(sums["with"].rate / sums["without"].rate - 1, 4)}


def _table(sums: dict[str, Sum]) -> str:
    found = _as_json(sums)
    lines = []
    for name in sums:
        each = found[name]
        crops = ""
        if each["crops_per_s"]:
            crops = (
                f"; {each['crops_per_s']} crops/s, {each['answered_per_s']} answered after "
                f"{each['latency_ms']} ms on average, dropped: {each['dropped'] or 'none'}"
            )
        cores = f"{each['cpu_cores']} cores"
        taken = (
            f"CPU per frame {each['cpu_ms_per_frame']} ms, {each['delivery_ms_per_frame']} of it to deliver, "
            f"{each['second_ms_per_frame']} in the second model's threads"
        )
        lines.append(
            f"{name:8} first model {each['first_fps']} frames/s, {each['replaced']} replaced, {cores}; {taken}{crops}"
        )
    lines.append(f"the first model's rate changes by {found['first_fps_change']:+.2%}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
