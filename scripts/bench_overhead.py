"""Measure the daemon's own cost: CPU per frame with a model that takes no time, minus FFmpeg's decoding.

    python scripts/bench_overhead.py                 # 8 cameras, 3 rounds, about 2 minutes

Every round measures FFmpeg alone on the live streams, then the daemon. The daemon must infer every frame: a
round with drops is refused, because dropped frames cost less.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framelane.measure.decode import DecodeBench, bench_decode
from framelane.measure.decode_source import Decoding
from framelane.measure.errors import BenchError
from framelane.measure.figures import Spread
from framelane.measure.host import Host, describe_host
from framelane.measure.process import in_child
from framelane.measure.report import Goal, Section, figures_section, goals_section, spread_cell
from lab.daemon_run import DaemonRun, Window, measure_daemon
from lab.neighbors import Site
from lab.null_model import write_null_model
from lab.script import command_line, make_parser, run_script, say, start_cameras

if TYPE_CHECKING:
    from argparse import Namespace

OVERHEAD_MS = 1.5
MOST_DROPPED = 0.01


@dataclass(frozen=True, slots=True)
class Round:
    """One round: FFmpeg alone, then the daemon."""

    decode: DecodeBench
    daemon: DaemonRun

    @property
    def overhead_ms(self) -> float:
        """Return the daemon's CPU per frame on top of FFmpeg's, in milliseconds."""
        return self.daemon.cpu_ms_a_frame - self.decode.cpu_ms_a_frame


@dataclass(frozen=True, slots=True)
class OverheadReport:
    """All rounds with their summary and goals."""

    host: Host
    command: str
    streams: int
    rounds: tuple[Round, ...]

    @property
    def summary(self) -> dict[str, Spread]:
        """Return the main figures over all rounds."""
        return {
            "overhead_ms_a_frame": Spread.of([each.overhead_ms for each in self.rounds]),
            "daemon_ms_a_frame": Spread.of([each.daemon.cpu_ms_a_frame for each in self.rounds]),
            "decode_ms_a_frame": Spread.of([each.decode.cpu_ms_a_frame for each in self.rounds]),
            "daemon_fps": Spread.of([each.daemon.fps for each in self.rounds]),
            "decode_fps": Spread.of([each.decode.frames_s for each in self.rounds]),
            "daemon_cores": Spread.of([each.daemon.cpu_cores for each in self.rounds]),
            "peak_rss_mb": Spread.of([each.daemon.peak_rss_mb for each in self.rounds]),
        }

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goal of issue 2."""
        median_ms = self.summary["overhead_ms_a_frame"].median
        return (Goal.at_most("CPU per frame on top of decoding", OVERHEAD_MS, median_ms, " ms"),)

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        summary = {name: asdict(spread) for name, spread in self.summary.items()}
        return {**asdict(self), "summary": summary, "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of summary and goals."""
        head = f"{self.streams} cameras, null model, {len(self.rounds)} rounds: median (lowest to highest)\n{self.host}"
        cells = {name: spread_cell(spread, 3) for name, spread in self.summary.items()}
        return figures_section(head, cells), goals_section(self.goals)


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement of a round")
    parser.add_argument("--warmup", type=float, default=5.0, help="seconds after all streams deliver")
    return parser.parse_args()


def measure(arguments: Namespace) -> OverheadReport:
    """Run all rounds."""
    host = describe_host()
    with Site(arguments.broker) as site:
        model = {"path": str(write_null_model(site.folder / "null.onnx"))}
        cameras, urls = start_cameras(arguments, site)
        window = Window(arguments.streams, arguments.warmup, arguments.seconds)
        rounds = []
        for index in range(arguments.rounds):
            say(f"round {index + 1} of {arguments.rounds}: FFmpeg alone, the daemon ...")
            decode = in_child(bench_decode, urls, seconds=arguments.seconds, decoding=Decoding("ffmpeg"))
            run = measure_daemon(site.daemon(model, urls), site.subscriber, [cameras, site.broker], window)
            refuse_overload(run)
            rounds.append(Round(decode, run))
            say(f"  {rounds[-1].overhead_ms:.2f} ms per frame")
    return OverheadReport(host, command_line(), arguments.streams, tuple(rounds))


def refuse_overload(run: DaemonRun) -> None:
    """Refuse a run with drops: a frame that was decoded and dropped would count as overhead of another.

    Raises:
        BenchError: more than a few frames were dropped.
    """
    frames = run.fps * run.seconds
    if run.dropped > MOST_DROPPED * frames:
        raise BenchError(
            f"{run.dropped} of {frames + run.dropped:.0f} frames were dropped; use fewer --streams"
        )


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
