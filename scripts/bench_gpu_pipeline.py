"""Measure how many cameras one GPU serves: looping 1080p clips in, detections over MQTT out.

    python scripts/bench_gpu_pipeline.py --clips clips/*h264.mp4 --model yolov8s.onnx --streams 148
    python scripts/bench_gpu_pipeline.py ... --settings workers=4 workers=6,batch=8,slots=3  # tries each first
    python scripts/bench_gpu_pipeline.py ... --rtsp 2 --streams 32   # live RTSP, from 2 processes
    python scripts/bench_gpu_pipeline.py ... --soak-minutes 8        # whether memory stays flat at that load
    python scripts/bench_gpu_pipeline.py ... --startup               # from the process's start to READY
    python scripts/bench_gpu_pipeline.py ... --rtsp 4 --streams 220 --back-to 192   # recovery after a reload
    python scripts/bench_gpu_pipeline.py ... --rtsp 4 --until-live   # all streams start at once, twice
    python scripts/bench_gpu_pipeline.py ... --stream-option track=true events={} snapshots={}   # their cost

Starting at --streams, searches for the largest number of streams that meets the goals: p95 from capture to
publish <= --p95-ms, less than 0.1 % of the frames dropped or lost, and every clip at its own speed.
--no-search measures only --streams. Measuring starts after --steady seconds at the wanted rate. Broker,
subscribers and cameras are separate processes. A file's frame counts as captured when it is played, after
decoding. A live camera's counts by the camera's clock, so its latency includes decoding.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from framelane.measure.gpu_use import GpuRecorder
from framelane.measure.host import describe_host
from lab.gpu_bench import MODEL_OPTIONS, Bench
from lab.gpu_report import GOALS, P95_MS, Feed, GpuPipelineReport, Step
from lab.mps import mps_daemon
from lab.neighbors import Site
from lab.script import add_stream_options, command_line, make_parser, run_script, say
from lab.search import LargestThatHolds

if TYPE_CHECKING:
    from argparse import Namespace

BROKER_SETTINGS = ("max_inflight_messages 1000", "max_queued_messages 100000")
"""Settings for thousands of results per second (docs/mqtt.md): with 20 in flight, messages wait."""
NUMBERS = {
    "workers": int,
    "batch": int,
    "slots": int,
    "waiting": int,
    "linger_ms": float,
    "fps": float,
    "confidence": float,
}


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 148)
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="distributed over the streams")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument(
        "--models", type=int, default=1, help="number of copies; each stream uses all of them"
    )
    parser.add_argument("--backend", default="tensorrt")
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--engine-folder", type=Path)
    parser.add_argument("--min-batch", type=int, default=1, help="smallest batch of the engine's profile")
    parser.add_argument("--decode", choices=("auto", "nvdec", "cpu"), default="auto")
    parser.add_argument("--gpus", type=int, nargs="+", help="as in the configuration; the first is watched")
    for name in ("workers", "batch", "slots", "waiting"):
        parser.add_argument(f"--{name}", type=int, help="as in the configuration")
    for name in ("linger-ms", "fps", "confidence"):
        parser.add_argument(f"--{name}", type=float, help="as in the configuration")
    parser.add_argument(
        "--settings", nargs="*", default=[], metavar="KEY=VALUE,...", help="settings to try first"
    )
    parser.add_argument(
        "--rtsp", type=int, default=0, metavar="PROCESSES", help="use live cameras from this many processes"
    )
    parser.add_argument("--subscribers", type=int, default=8, help="number of subscriber processes")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds after all streams deliver")
    parser.add_argument(
        "--steady", type=float, default=5.0, help="seconds at the wanted rate before measuring"
    )
    parser.add_argument(
        "--warmup-most", type=float, default=20.0, help="most seconds to wait for a steady rate"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a measurement")
    parser.add_argument("--grid", type=int, default=4, help="step of the search, in streams")
    parser.add_argument("--most", type=int, default=400, help="most streams to try")
    parser.add_argument("--budget-s", type=float, default=300.0, help="start no step after this many seconds")
    parser.add_argument("--no-search", action="store_true", help="measure only --streams")
    parser.add_argument("--soak-minutes", type=float, default=0.0, help="soak instead of searching")
    parser.add_argument("--startup", action="store_true", help="measure three starts instead of searching")
    parser.add_argument("--p95-ms", type=float, default=P95_MS, help="goal for p95 from capture to publish")
    parser.add_argument(
        "--span", type=float, default=5.0, help="length of a span of a measurement, in seconds"
    )
    parser.add_argument(
        "--back-to", type=int, metavar="M", help="reload from --streams to M instead of searching"
    )
    parser.add_argument(
        "--until-live",
        action="store_true",
        help="measure until all streams are live and on time instead of searching",
    )
    parser.add_argument("--away", type=float, default=5.0, help="seconds without cameras, for --until-live")
    parser.add_argument(
        "--patience", type=float, default=60.0, help="most seconds to watch, for --back-to and --until-live"
    )
    add_stream_options(parser)
    parser.add_argument("--mps", action="store_true", help="run NVIDIA's MPS daemon during the measurement")
    parser.add_argument(
        "--ceiling", nargs="*", default=[], metavar="NAME=FRAMES_S", help="ceilings to compare with"
    )
    parser.add_argument(
        "--log-lines", type=int, default=3, help="lines of the daemon's log to show after a step"
    )
    return parser.parse_args()


def settings_of(arguments: Namespace) -> list[dict[str, Any]]:
    """Return every requested setting of the daemon: the options, overridden by each of --settings."""
    names = ("workers", *MODEL_OPTIONS, "fps")
    base = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    ways = []
    for text in arguments.settings or [""]:
        pairs = [pair.split("=", 1) for pair in text.split(",") if pair]
        ways.append(base | {name: NUMBERS.get(name, str)(value) for name, value in pairs})
    return ways


def measure(arguments: Namespace) -> GpuPipelineReport:
    """Run the requested measurement on a site of its own."""
    feed = Feed.of(arguments.clips)
    most = max(arguments.most, arguments.streams)
    with ExitStack() as stack:
        if arguments.mps:
            stack.enter_context(mps_daemon())
        site = stack.enter_context(Site(arguments.broker, arguments.subscribers, most, BROKER_SETTINGS))
        watch = stack.enter_context(GpuRecorder())
        goal = arguments.streams if arguments.no_search else GOALS.get(feed.codec, arguments.streams)
        broker = "mosquitto" if (site.folder / "mosquitto.conf").exists() else "embedded"
        report = GpuPipelineReport(
            describe_host(),
            command_line(),
            feed,
            live=bool(arguments.rtsp),
            broker=broker,
            goal=goal,
            mps=arguments.mps,
            p95_ms=arguments.p95_ms,
        )
        report.ceilings.update(
            {name: float(rate) for name, rate in (each.split("=") for each in arguments.ceiling)}
        )
        return run_mode(arguments, Bench(arguments, site, feed, watch), report)


def run_mode(arguments: Namespace, bench: Bench, report: GpuPipelineReport) -> GpuPipelineReport:
    """Run the mode that the options select."""
    ways = settings_of(arguments)
    if arguments.startup:
        for _ in range(3):
            report.starts.append(bench.start(arguments.streams, ways[0]))
            say(
                f"  imports {report.starts[-1].imports_s:.2f} s, READY {report.starts[-1].ready_s:.2f} s after"
            )
        return report
    if arguments.soak_minutes:
        return replace(report, soak=bench.soak(arguments.streams, ways[0]))
    if arguments.until_live:
        return replace(report, rises=bench.rise(arguments.streams, ways[0]))
    if arguments.back_to is not None:
        return replace(report, relief=bench.relieve(arguments.streams, arguments.back_to, ways[0]))
    return replace(report, best=search(arguments, bench, ways, report.steps))


def search(arguments: Namespace, bench: Bench, ways: list[dict[str, Any]], steps: list[Step]) -> Step | None:
    """Try all settings at the first guess, then search for the most streams of the best one."""
    began_s = time.monotonic()
    steps += [bench.step(arguments.streams, way) for way in ways]
    first = max(steps, key=lambda step: (step.holds, step.run is not None, -step.dropped, -step.p95_ms))
    best = first if first.holds else None
    if arguments.no_search:
        return best
    loads = LargestThatHolds(arguments.streams, arguments.grid, arguments.most)
    loads.note(arguments.streams, holds=first.holds)
    longest_s = (time.monotonic() - began_s) / len(ways)
    while loads.next is not None and time.monotonic() - began_s + longest_s < arguments.budget_s:
        step = bench.step(loads.next, first.settings)
        steps.append(step)
        if step.holds and (best is None or step.streams > best.streams):
            best = step
        loads.note(step.streams, holds=step.holds)
    return best


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
