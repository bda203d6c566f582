"""Check that the daemon's memory stays flat: sample its RSS, threads and descriptors every few seconds.

    python scripts/soak_memory.py --minutes 30
    python scripts/soak_memory.py --minutes 60 --streams 4 --crowd 30   # tracks, rules and events all the time

The daemon is overloaded on purpose (8 cameras, YOLOX-nano) unless told otherwise. With --crowd, the cameras show
crowds of known boxes with two lines and two zones; then each `new` must have one `end` once the daemon has stopped.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from framelane.measure.figures import Flatness
from framelane.measure.host import Host, describe_host
from framelane.measure.process import Usage, peak_rss_mb
from framelane.measure.report import Goal, Section, figures_section, goals_section, number
from lab.crowd import RULES, numbered_clip, walking, write_crowd_model
from lab.neighbors import NODE, Site
from lab.null_model import write_null_model
from lab.script import MODEL, command_line, make_parser, run_script, say, start_cameras
from lab.subscriber import subscribed

if TYPE_CHECKING:
    from argparse import Namespace

    from framelane.measure.process import Child

MOST_SWING = 0.05
TOLD_EVERY_S = 60.0
CROWD_FPS = 10
CROWD_FRAMES = 600
LAST_EVENTS_S = 2.0


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
        events: arrived events by kind, those of the daemon's stop included.
    """

    host: Host
    command: str
    streams: int
    samples: tuple[Sample, ...]
    peak_rss_mb: float
    fps: float
    missing: int
    events: dict[str, int] = field(default_factory=dict)

    @property
    def rss_mb(self) -> Flatness:
        """Return the drift of the memory."""
        return Flatness.of([each.at_s for each in self.samples], [each.usage.rss_mb for each in self.samples])

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return what must hold."""
        first, last = self.samples[0].usage, self.samples[-1].usage
        return (
            Goal.at_most("RSS off its median", MOST_SWING, self.rss_mb.swing),
            Goal.at_most("additional threads", 0, last.threads - first.threads),
            Goal.at_most("results lost", 0, self.missing),
            Goal.at_most("objects without `end`", 0, self.events.get("new", 0) - self.events.get("end", 0)),
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
            "events": ", ".join(f"{count} {kind}" for kind, count in sorted(self.events.items())) or "none",
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
    parser.add_argument(
        "--crowd", type=int, default=0, help="objects per camera, instead of --clip and --model"
    )
    return parser.parse_args()


def measure(arguments: Namespace) -> MemoryReport:
    """Run the daemon and sample it."""
    host = describe_host()
    with Site(arguments.broker) as site:
        model, rules = prepare(arguments, site)
        _cameras, urls = start_cameras(arguments, site)
        kinds: Counter[str] = Counter()
        topics = [f"framelane/{NODE}/streams/+/events"]
        events = subscribed(site.url, "5", topics, lambda body: kinds.update([orjson.loads(body)["kind"]]))
        site.subscriber.open()
        path = site.configure({"path": str(model)}, urls, {}, rules, track=bool(rules))
        with site.daemon_on(path) as daemon:
            site.subscriber.wait_for_streams(arguments.streams, daemon)
            time.sleep(arguments.warmup)
            samples = watch(daemon, site, arguments.minutes * 60, arguments.every)
            received = site.subscriber.close()
            peak_mb = peak_rss_mb(daemon.pid)
        time.sleep(LAST_EVENTS_S)
        events.disconnect()
        events.loop_stop()
    frames = sum(arrivals.frames for arrivals in received.streams.values())
    missing = sum(arrivals.lost for arrivals in received.streams.values())
    fps = frames / received.seconds
    return MemoryReport(host, command_line(), arguments.streams, samples, peak_mb, fps, missing, dict(kinds))


def prepare(arguments: Namespace, site: Site) -> tuple[Path, dict[str, object]]:
    """Write the clip and the model that the arguments name; return the model and the rules of each stream."""
    if arguments.crowd:
        arguments.clip = numbered_clip(site.folder / "crowd.mp4", 0, CROWD_FRAMES, CROWD_FPS)
        model = write_crowd_model(site.folder / "crowd.onnx", walking(arguments.crowd, CROWD_FRAMES))
        return model, RULES
    if arguments.null_model:
        return write_null_model(site.folder / "null.onnx"), {}
    return arguments.model.resolve(), {}


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
