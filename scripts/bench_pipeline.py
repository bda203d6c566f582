"""Run the main benchmark: live RTSP cameras in, detections over MQTT out, compared with the machine's ideal.

    python scripts/bench_pipeline.py                 # 8 cameras, 3 rounds, about 4 minutes
    python scripts/bench_pipeline.py --streams 1     # the latency of one camera alone

Every round measures, one after another: (a) cores that FFmpeg alone takes to decode the live streams (plain
PyAV, one thread per stream), (b) core-seconds per image that ONNX Runtime alone takes at the best of its
three fastest batches and threads, found by a sweep before the first round, (c) the daemon, freshly started,
once all streams deliver. Ideal = (cores - a) / b; efficiency = inferred frames per second / ideal. Cameras,
broker and subscriber are separate processes that share the cores. The report shows what they take, and the
ideal without their share.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.measure.decode import DecodeBench, bench_decode
from framelane.measure.decode_source import Decoding
from framelane.measure.engine import EngineBench, EngineFigures, bench_engine, bench_shapes, finalists
from framelane.measure.figures import Percentiles, Spread, ideal_fps
from framelane.measure.host import Host, describe_host
from framelane.measure.process import in_child
from framelane.measure.report import Goal, Section, figures_section, goals_section, number, spread_cell
from lab.daemon_run import DaemonRun, Window, measure_daemon
from lab.neighbors import Site
from lab.script import MODEL, command_line, make_parser, run_script, say, start_cameras

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

EFFICIENCY = 0.90
P95_MS = 80.0
P95_ALONE_MS = 20.0
RSS_MB = 300.0
FAIRNESS = 0.90


@dataclass(frozen=True, slots=True)
class Round:
    """One round: FFmpeg alone, ONNX Runtime alone, the daemon."""

    decode: DecodeBench
    engine: EngineFigures
    daemon: DaemonRun

    def ideal(self, cores: int) -> float:
        """Return images per second if only decoding and inference took time."""
        return ideal_fps(cores, self.decode.cpu_cores, self.engine.cpu_ms_an_image / 1e3)

    def ideal_beside_others(self, cores: int) -> float:
        """Return the ideal on the cores that cameras, broker and subscriber leave."""
        others_cores = sum(self.daemon.neighbours_cores.values())
        return ideal_fps(cores, self.decode.cpu_cores, self.engine.cpu_ms_an_image / 1e3, others_cores)


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """All rounds with their summary and goals."""

    host: Host
    command: str
    streams: int
    sweep: EngineBench
    rounds: tuple[Round, ...]

    def spread(self, figure: Callable[[Round], float | None]) -> Spread:
        """Return one figure over the rounds; a round without it counts as 0."""
        return Spread.of([figure(each) or 0.0 for each in self.rounds])

    @property
    def summary(self) -> dict[str, Spread]:
        """Return the main figures over all rounds."""
        cores = self.host.cores
        figures: dict[str, Callable[[Round], float | None]] = {
            "inferred_fps": lambda each: each.daemon.fps,
            "decode_cores": lambda each: each.decode.cpu_cores,
            "engine_cpu_ms": lambda each: each.engine.cpu_ms_an_image,
            "ideal_fps": lambda each: each.ideal(cores),
            "efficiency": lambda each: each.daemon.fps / each.ideal(cores),
            "ideal_beside_others_fps": lambda each: each.ideal_beside_others(cores),
            "efficiency_beside_others": lambda each: each.daemon.fps / each.ideal_beside_others(cores),
            "slowest_to_fastest": lambda each: each.daemon.slowest_to_fastest,
            "publish_p50_ms": lambda each: _rank(each.daemon.publish_ms, "p50"),
            "publish_p95_ms": lambda each: _rank(each.daemon.publish_ms, "p95"),
            "publish_p99_ms": lambda each: _rank(each.daemon.publish_ms, "p99"),
            "arrival_p50_ms": lambda each: _rank(each.daemon.arrival_ms, "p50"),
            "arrival_p95_ms": lambda each: _rank(each.daemon.arrival_ms, "p95"),
            "cpu_ms_a_frame": lambda each: each.daemon.cpu_ms_a_frame,
            "daemon_cores": lambda each: each.daemon.cpu_cores,
            "rss_mb": lambda each: each.daemon.rss_mb,
            "peak_rss_mb": lambda each: each.daemon.peak_rss_mb,
            "dropped": lambda each: each.daemon.dropped,
            "missing": lambda each: each.daemon.missing,
            "rtcp_share": lambda each: each.daemon.rtcp_share,
        }
        names = sorted({name for each in self.rounds for name in each.daemon.neighbours_cores})
        figures |= {f"{name}_cores": _share_of(name) for name in names}
        return {name: self.spread(figure) for name, figure in figures.items()}

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goals, by the medians; rates count only if the daemon is overloaded."""
        summary = {name: spread.median for name, spread in self.summary.items()}
        peak_mb = max(each.daemon.peak_rss_mb for each in self.rounds)
        common = (
            Goal.at_most("peak memory", RSS_MB, peak_mb, " MB"),
            Goal.at_most("results lost", 0, sum(each.daemon.missing for each in self.rounds)),
        )
        if self.streams == 1:
            return (
                Goal.at_most("p95 to publish, alone", P95_ALONE_MS, summary["publish_p95_ms"], " ms"),
                *common,
            )
        return (
            Goal.at_least("efficiency", EFFICIENCY, summary["efficiency"]),
            Goal.at_most("p95 to publish", P95_MS, summary["publish_p95_ms"], " ms"),
            Goal.at_least("slowest / fastest stream", FAIRNESS, summary["slowest_to_fastest"]),
            *common,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        summary = {name: asdict(spread) for name, spread in self.summary.items()}
        goals = [asdict(goal) for goal in self.goals]
        return {**asdict(self), "summary": summary, "goals": goals}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of goals, summary, streams and the sweep."""
        head = f"{self.streams} cameras, {len(self.rounds)} rounds: median (lowest to highest)\n{self.host}"
        cells = {
            name: spread_cell(spread, 3 if spread.high < 10 else 1)  # noqa: PLR2004 - three digits at least
            for name, spread in self.summary.items()
        }
        return (
            figures_section(head, cells),
            self._streams(),
            *self.sweep.sections(),
            goals_section(self.goals),
        )

    def _streams(self) -> Section:
        names = sorted(self.rounds[0].daemon.streams_fps)
        rows = tuple(
            (name, *(number(each.daemon.streams_fps.get(name, 0.0)) for each in self.rounds))
            for name in names
        )
        columns = ("stream", *(f"round {index}" for index in range(1, len(self.rounds) + 1)))
        return Section("Inferred frames/s", columns, rows)


def _rank(latency_ms: Percentiles | None, rank: str) -> float | None:
    value: float | None = getattr(latency_ms, rank, None)
    return value


def _share_of(name: str) -> Callable[[Round], float]:
    return lambda each: each.daemon.neighbours_cores[name]


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the daemon per round")
    parser.add_argument("--warmup", type=float, default=8.0, help="seconds after all streams deliver")
    parser.add_argument(
        "--alone-seconds", type=float, default=10.0, help="of FFmpeg and of ONNX Runtime per round"
    )
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--batch", type=int, help="the model's `batch` (default: the product's)")
    parser.add_argument("--linger-ms", type=float, help="the model's `linger_ms`")
    parser.add_argument("--slots", type=int, help="the model's `slots`")
    return parser.parse_args()


def model_section(arguments: Namespace) -> dict[str, object]:
    """Return the model's section of the daemon's configuration."""
    options = {name: getattr(arguments, name) for name in ("batch", "linger_ms", "slots")}
    given = {name: value for name, value in options.items() if value is not None}
    return {"path": str(arguments.model.resolve()), **given}


def measure(arguments: Namespace) -> PipelineReport:
    """Run all rounds."""
    host = describe_host()
    say("ONNX Runtime alone, all batches and threads ...")
    sweep = in_child(bench_engine, str(arguments.model), seconds=min(2.0, arguments.alone_seconds))
    shapes = finalists(sweep.variants)
    with Site(arguments.broker) as site:
        cameras, urls = start_cameras(arguments, site)
        window = Window(arguments.streams, arguments.warmup, arguments.seconds)
        rounds = []
        for index in range(arguments.rounds):
            say(f"round {index + 1} of {arguments.rounds}: FFmpeg alone, ONNX Runtime alone, the daemon ...")
            decode = in_child(
                bench_decode, urls, seconds=arguments.alone_seconds, decoding=Decoding("ffmpeg")
            )
            engine = in_child(bench_shapes, str(arguments.model), shapes, arguments.alone_seconds)
            daemon = site.daemon(model_section(arguments), urls)
            run = measure_daemon(daemon, site.subscriber, [cameras, site.broker], window)
            rounds.append(Round(decode, engine, run))
            say(f"  {run.fps:.1f} frames/s, ideal {rounds[-1].ideal(host.cores):.1f}")
    return PipelineReport(host, command_line(), arguments.streams, sweep, tuple(rounds))


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
