"""Check that the daemon's memory stays flat: sample its RSS, threads and descriptors every few seconds.

    python scripts/soak_memory.py --minutes 30

The daemon is overloaded on purpose (8 cameras, YOLOX-nano) unless told otherwise.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.measure.figures import Flatness
from framelane.measure.host import Host, describe_host
from framelane.measure.process import Usage, peak_rss_mb
from framelane.measure.report import Goal, Section, figures_section, goals_section, number
from lab.neighbors import Site
from lab.null_model import write_null_model
from lab.script import MODEL, command_line, make_parser, run_script, say, start_cameras

if TYPE_CHECKING:
    from argparse import Namespace

    from framelane.measure.process import Child

MOST_SWING = 0.05
TOLD_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: seconds since the end of the warm-up, and the daemon's resources."""

    at_s: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """All samples, with their drift.

    Attributes:
        fps: arrived results per second.
        missing: lost results.
    """

    host: Host
    command: str
    streams: int
    samples: tuple[Sample, ...]
    peak_rss_mb: float
    fps: float
    missing: int

    @property
    def rss_mb(self) -> Flatness:
        """Return the drift of the memory."""
        return Flatness.of([each.at_s for each in self.samples], [each.usage.rss_mb for each in self.samples])

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goals of issue 2."""
        first, last = self.samples[0].usage, self.samples[-1].usage
        return (
            Goal.at_most("RSS off its median", MOST_SWING, self.rss_mb.swing),
            Goal.at_most("additional threads", 0, last.threads - first.threads),
            Goal.at_most("results lost", 0, self.missing),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {**asdict(self), "rss_mb": asdict(self.rss_mb), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of summary and goals."""
        rss, first, last = self.rss_mb, self.samples[0].usage, self.samples[-1].usage
        minutes = self.samples[-1].at_s / 60
        figures = {
            "results/s": number(self.fps),
            "RSS MB, after warm-up / last": f"{rss.first:.1f} / {rss.last:.1f}",
            "RSS MB, median / peak": f"{rss.middle:.1f} / {self.peak_rss_mb:.1f}",
            "RSS off its median, at most": f"{rss.swing:.1%}",
            "RSS slope, MB per hour": number(rss.slope_an_hour, 2),
            "threads, first / last": f"{first.threads} / {last.threads}",
            "descriptors, first / last": f"{first.descriptors} / {last.descriptors}",
        }
        head = f"{self.streams} cameras over {minutes:.1f} minutes, {len(self.samples)} samples\n{self.host}"
        return figures_section(head, figures), goals_section(self.goals)


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 8)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    parser.add_argument("--warmup", type=float, default=60.0, help="seconds before the first sample")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument(
        "--null-model", action="store_true", help="use a model that takes no time instead of --model"
    )
    return parser.parse_args()


def measure(arguments: Namespace) -> MemoryReport:
    """Run the daemon and sample it."""
    host = describe_host()
    with Site(arguments.broker) as site:
        model = (
            write_null_model(site.folder / "null.onnx") if arguments.null_model else arguments.model.resolve()
        )
        _cameras, urls = start_cameras(arguments, site)
        site.subscriber.open()
        with site.daemon({"path": str(model)}, urls) as daemon:
            site.subscriber.wait_for_streams(arguments.streams, daemon)
            time.sleep(arguments.warmup)
            samples = watch(daemon, site, arguments.minutes * 60, arguments.every)
            received = site.subscriber.close()
            peak_mb = peak_rss_mb(daemon.pid)
    frames = sum(arrivals.frames for arrivals in received.streams.values())
    missing = sum(arrivals.lost for arrivals in received.streams.values())
    return MemoryReport(
        host, command_line(), arguments.streams, samples, peak_mb, frames / received.seconds, missing
    )


def watch(daemon: Child, site: Site, seconds: float, every_s: float) -> tuple[Sample, ...]:
    """Sample the daemon for `seconds`."""
    site.subscriber.open()
    began_s = time.monotonic()
    samples = [Sample(0.0, daemon.usage())]
    told_s = 0.0
    while samples[-1].at_s < seconds:
        time.sleep(max(began_s + len(samples) * every_s - time.monotonic(), 0.0))
        samples.append(Sample(time.monotonic() - began_s, daemon.usage()))
        if samples[-1].at_s - told_s >= TOLD_EVERY_S:
            told_s = samples[-1].at_s
            say(
                f"{told_s / 60:.0f} min: {samples[-1].usage.rss_mb:.1f} MB, {samples[-1].usage.threads} threads"
            )
    return tuple(samples)


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
