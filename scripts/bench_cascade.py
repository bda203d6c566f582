"""Measure a second model: crops per second, and what it takes from the first model.

    python scripts/bench_cascade.py                                 # the demo's streets on the CPU
    python scripts/bench_cascade.py --clips clips/*h264.mp4 --streams 100 --fps 0 --workers 4 --mps \
        --first yolov8s_busy.onnx --second classifier.onnx --engine-folder engines --min-batch 16

One node runs all the time, and the second model comes and goes by a live change, so that other load on the
machine hits both alike. Clips loop at their own pace. On a GPU name engines that are built already (`framelane
engine build`): an engine that is built during the run takes the GPU from the first windows. An object is looked
at once per second at most, so N crops per second take N objects: `python -m lab.busy_model SOURCE TARGET 56`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.config.yaml.load import parse_config
from framelane.core.log import setup
from framelane.demo.clips import ensure_clips
from framelane.measure.errors import BenchError
from framelane.measure.gpu_use import GpuRecorder
from framelane.measure.host import describe_host
from framelane.node.daemon import make_node
from lab.cascade_windows import Moment, Sum
from lab.classifier import write_classifier
from lab.mps import mps_daemon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.sections.schema import Config
    from framelane.node.node import Node

MODEL = files("framelane.demo") / "assets" / "framelane-demo.onnx"
SCENES = 4
LOOK_S = 1.0
STOP_S = 20.0


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--clips", type=Path, nargs="+", help="shared by the streams; the demo's by default")
    parser.add_argument("--fps", type=float, default=5.0, help="most of each stream; 0 for all frames")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=6, help="windows with and without")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds before each window")
    parser.add_argument(
        "--patience", type=float, default=120.0, help="most seconds until all streams are live"
    )
    parser.add_argument("--first", type=Path, help="ONNX file; the demo's model by default")
    parser.add_argument("--second", type=Path, help="ONNX file; random weights by default")
    parser.add_argument("--labels", default="auto", help="of the second model's file")
    parser.add_argument("--workers", type=int, default=1, help="as in the configuration")
    parser.add_argument("--backend", default="auto", help="of both models, as in the configuration")
    parser.add_argument("--precision", default="auto", help="of both models, as in the configuration")
    parser.add_argument("--batch", type=int, default=0, help="of both models, as in the configuration")
    parser.add_argument("--min-batch", type=int, default=1, help="smallest batch of the first model's engine")
    parser.add_argument("--engine-folder", type=Path, help="folder of both models' engines")
    parser.add_argument("--second-slots", type=int, default=0, help="as in the configuration")
    parser.add_argument("--mps", action="store_true", help="run NVIDIA's MPS daemon during the measurement")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    return parser.parse_args()


def main() -> int:
    """Run both kinds in turns and print a table."""
    options = parse_arguments()
    setup("error")
    sums = {"without": Sum(), "with": Sum()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            if options.mps:
                stack.enter_context(mps_daemon())
            watch = stack.enter_context(GpuRecorder())
            measure(options, folder, sums, watch)
        except BenchError as error:
            print(f"bench_cascade: {error}", file=sys.stderr)
            return error.exit_code
    print(json.dumps(as_json(sums)) if options.json else table(sums))
    return 0


def measure(options: Namespace, folder: Path, sums: dict[str, Sum], watch: GpuRecorder) -> None:
    """Measure windows with and without the second model in turns.

    Raises:
        BenchError: a stream gives no results.
    """
    configs = {name: configure(options, folder, cascade=name == "with") for name in sums}
    node = make_node(configs["without"], threading.Event())
    node.start()
    try:
        _wait_for_streams(node, options)
        for number in range(options.rounds):
            for name, figures in sorted(sums.items(), reverse=number % 2 == 1):
                node.prepare(configs[name])
                node.commit(configs[name])
                time.sleep(options.settle)
                watch.take()
                before = Moment.now(node.pipeline.fresh_meters.snapshot())
                _pass(options.seconds, watch)
                figures.add(before, Moment.now(node.pipeline.fresh_meters.snapshot()), watch.take())
    finally:
        node.stop(STOP_S)


def configure(options: Namespace, folder: Path, *, cascade: bool) -> Config:
    """Return the configuration with or without the second model."""
    clips: Sequence[Path] = options.clips or ensure_clips(
        Path(tempfile.gettempdir()) / "framelane-bench-streets", SCENES
    )
    common: dict[str, Any] = {
        "backend": options.backend,
        "precision": options.precision,
        "batch": options.batch,
        "engine": {"folder": str((options.engine_folder or folder).resolve())},
    }
    first = {"path": str(options.first or MODEL), **common}
    first["engine"] = {**common["engine"], "min_batch": options.min_batch}
    models: dict[str, Any] = {"street": first}
    if cascade:
        second = options.second or write_classifier(folder / "second.onnx")
        own = {"of": "street", "labels": options.labels, "confidence": 0, "slots": options.second_slots}
        models["second"] = {"path": str(second), **common, **own}
    config = {
        "node": {"id": "bench"},
        "log": {"level": "warning"},
        "jsonl": {"path": "/dev/null"},
        "workers": options.workers,
        "models": models,
        "defaults": {"loop": True, "track": True} | ({"fps": options.fps} if options.fps else {}),
        "streams": [
            {"id": f"cam{number:03}", "url": str(clips[number % len(clips)].resolve())}
            for number in range(options.streams)
        ],
    }
    return parse_config(json.dumps(config), folder, {})


def as_json(sums: dict[str, Sum]) -> dict[str, Any]:
    """Return the figures of both kinds, how much the first model's rate changes, and the machine."""
    change = round(sums["with"].rate / sums["without"].rate - 1, 4)
    kinds = {name: each.as_json() for name, each in sums.items()}
    return kinds | {"first_fps_change": change, "host": str(describe_host())}


def table(sums: dict[str, Sum]) -> str:
    """Return the figures as lines of text."""
    found = as_json(sums)
    lines = [found["host"]]
    for name in sums:
        each = found[name]
        crops = gpu = ""
        if each["crops_per_s"]:
            crops = (
                f"; {each['crops_per_s']} crops/s, {each['answered_per_s']} answered after "
                f"{each['latency_ms']} ms on average, dropped: {each['dropped'] or 'none'}"
            )
        if each["gpu_busy"] is not None:
            gpu = f"; GPU busy {each['gpu_busy']:.0%}, NVDEC {each['nvdec_busy']:.0%}"
        cores = f"{each['cpu_cores']} cores"
        taken = (
            f"CPU per frame {each['cpu_ms_per_frame']} ms, {each['delivery_ms_per_frame']} of it to deliver, "
            f"{each['second_ms_per_frame']} in the second model's threads"
        )
        lines.append(
            f"{name:8} first model {each['first_fps']} frames/s, {each['replaced']} replaced, {cores}; "
            f"{taken}{crops}{gpu}"
        )
    lines.append(f"the first model's rate changes by {found['first_fps_change']:+.2%}")
    return "\n".join(lines)


def _wait_for_streams(node: Node, options: Namespace) -> None:
    """Wait until the first model has inferred frames of every stream."""
    deadline_s = time.monotonic() + options.patience
    while True:
        counts = node.pipeline.fresh_meters.snapshot().streams
        silent = [name for name, stream in counts.items() if not stream.inferred]
        if not silent:
            return
        if time.monotonic() > deadline_s:
            raise BenchError(f"{len(silent)} of {len(counts)} streams have no results, such as {silent[0]}")
        time.sleep(LOOK_S)


def _pass(seconds: float, watch: GpuRecorder) -> None:
    """Let a window pass, and look at the GPU meanwhile."""
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(left_s, LOOK_S))
        watch.look()


if __name__ == "__main__":
    sys.exit(main())
