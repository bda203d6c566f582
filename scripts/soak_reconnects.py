"""Check that reconnects leak no memory, threads or descriptors while cameras are killed and revived.

    python scripts/soak_reconnects.py --reconnects 200      # 4 cameras at a time, about 5 minutes
    python scripts/soak_reconnects.py --streams 12 --reconnects 24 --outage 15

The embedded cameras run in this process, which controls their faults. With `--outage` their server is then
gone for that many seconds, and nothing listens on its port. With the daemon's own backoff, all cameras must
be back soon after the server's return, and not all at the same moment.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.measure.figures import Percentiles, change
from framelane.measure.host import Host, describe_host
from framelane.measure.report import Goal, Section, figures_section, goals_section, latency_text
from lab.neighbors import Site
from lab.null_model import write_null_model
from lab.script import command_line, make_clip, make_parser, run_script, say

if TYPE_CHECKING:
    from argparse import Namespace

    from framelane.measure.process import Child, Usage
    from lab.neighbors import Subscriber

MOST_CHANGE = 0.05
BACKOFF = {"first_s": 0.2, "most_s": 1.0}
TOLD_EVERY = 20
LOOK_S = 0.02
MOST_BACK_S = 5.0
LEAST_SPREAD_S = 0.4
"""Least seconds between the first PLAY and the last."""


@dataclass(frozen=True, slots=True)
class ReconnectsReport:
    """The daemon before and after the reconnects.

    Attributes:
        asked: requested reconnects after the warm-up.
        reconnects: reconnects in the daemon's stream states, warm-up included.
        warmup: reconnects before `before` was sampled, in which caches fill.
        live_again_ms: time from a revival until every camera's third result.
        before: the daemon with all streams live, after the warm-up.
        after: the same at the end.
        played_s: seconds from the server's return after an outage to its answer to each camera's PLAY; empty
            without an outage.
        back_s: seconds from the return to each camera's first result, which waits for a key frame.
    """

    host: Host
    command: str
    streams: int
    asked: int
    reconnects: int
    warmup: int
    live_again_ms: Percentiles | None
    before: Usage
    after: Usage
    played_s: tuple[float, ...]
    back_s: tuple[float, ...]

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goals of issue 2."""
        before, after = self.before, self.after
        goals = (
            Goal.at_least("reconnects", self.asked, self.reconnects - self.warmup),
            Goal.at_most("change of RSS", MOST_CHANGE, abs(change(before.rss_mb, after.rss_mb))),
            Goal.at_most("additional threads", 0, after.threads - before.threads),
            Goal.at_most("additional descriptors", 0, after.descriptors - before.descriptors),
        )
        if not self.back_s:
            return goals
        return (
            *goals,
            Goal.at_least("cameras back after the outage", self.streams, len(self.back_s)),
            Goal.at_most("seconds until the last one is back", MOST_BACK_S, max(self.back_s)),
            Goal.at_least(
                "seconds from the first PLAY to the last",
                LEAST_SPREAD_S,
                max(self.played_s) - min(self.played_s),
            ),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {**asdict(self), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of summary and goals."""
        before, after = self.before, self.after
        figures = {
            "reconnects, warm-up among them": f"{self.reconnects}, {self.warmup}",
            "RSS MB, before / after": f"{before.rss_mb:.1f} / {after.rss_mb:.1f}",
            "threads, before / after": f"{before.threads} / {after.threads}",
            "descriptors, before / after": f"{before.descriptors} / {after.descriptors}",
            "ms until live again, p50 / p90 / p95 / p99": latency_text(self.live_again_ms),
        }
        if self.back_s:
            figures["s from the server's return to each PLAY"] = seconds_text(self.played_s)
            figures["s from the server's return to each first result"] = seconds_text(self.back_s)
        head = f"{self.streams} cameras, killed and revived\n{self.host}"
        return figures_section(head, figures), goals_section(self.goals)


@dataclass(frozen=True, slots=True)
class Trial:
    """Cameras and their daemon."""

    server: RtspServer
    paths: list[str]
    subscriber: Subscriber
    daemon: Child

    def outage(self, seconds: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Stop the server for `seconds`; return the report's `played_s` and `back_s`."""
        self.server.stop()
        time.sleep(seconds)
        self.subscriber.open()
        self.server.start()
        returned_s, back_s = time.monotonic(), dict[str, float]()
        while len(back_s) < len(self.paths) and time.monotonic() - returned_s < 4 * MOST_BACK_S:
            for stream, frames in self.subscriber.frames().items():
                if frames:
                    back_s.setdefault(stream, time.monotonic() - returned_s)
            time.sleep(LOOK_S)
        played_s = (play_s - returned_s for camera in self.server.stats for play_s in camera.plays_s[:1])
        return tuple(sorted(played_s)), tuple(sorted(back_s.values()))

    def kill_and_revive(self, reconnects: int) -> list[float]:
        """Kill all cameras at once until there are enough reconnects; return the seconds of each revival."""
        waits_s: list[float] = []
        while len(waits_s) * len(self.paths) < reconnects:
            for path in self.paths:
                self.server.camera(path).kill()
            time.sleep(2 * BACKOFF["first_s"])
            self.subscriber.open()
            for path in self.paths:
                self.server.camera(path).revive()
            waits_s.append(self.subscriber.wait_for_streams(len(self.paths), self.daemon))
            if len(waits_s) % TOLD_EVERY == 0:
                say(f"{len(waits_s) * len(self.paths)} reconnects")
        return waits_s


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 4)
    parser.add_argument(
        "--reconnects", type=int, default=200, help="reconnects after the warm-up, all cameras together"
    )
    parser.add_argument("--warmup", type=int, default=20, help="reconnects before the first sample")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds without faults before each sample")
    parser.add_argument(
        "--outage", type=float, metavar="SECONDS", help="seconds of one server outage at the end"
    )
    parser.add_argument("--model", type=Path, help="model (default: one that takes no time)")
    return parser.parse_args()


def measure(arguments: Namespace) -> ReconnectsReport:
    """Run the daemon through reconnects and the outage."""
    host = describe_host()
    with Site(arguments.broker) as site:
        clip = make_clip(arguments, site)
        model = arguments.model.resolve() if arguments.model else write_null_model(site.folder / "null.onnx")
        paths = [f"cam{number:02d}" for number in range(arguments.streams)]
        with RtspServer([CameraSpec(path, clip) for path in paths]) as server:
            urls = [server.url(path) for path in paths]
            site.subscriber.open()
            defaults = {} if arguments.outage else {"backoff": BACKOFF}
            with site.daemon({"path": str(model)}, urls, **defaults) as daemon:
                trial = Trial(server, paths, site.subscriber, daemon)
                site.subscriber.wait_for_streams(len(paths), daemon)
                trial.kill_and_revive(arguments.warmup)
                before = settled(daemon, arguments.settle)
                waits_s = trial.kill_and_revive(arguments.reconnects)
                after = settled(daemon, arguments.settle)
                reconnects = sum(site.subscriber.close().reconnects.values())
                played_s, back_s = trial.outage(arguments.outage) if arguments.outage else ((), ())
    return ReconnectsReport(
        host=host,
        command=command_line(),
        streams=len(paths),
        asked=arguments.reconnects,
        reconnects=reconnects,
        warmup=arguments.warmup,
        live_again_ms=Percentiles.of_seconds(waits_s),
        before=before,
        after=after,
        played_s=played_s,
        back_s=back_s,
    )


def seconds_text(times_s: tuple[float, ...]) -> str:
    """Return times as one cell."""
    return " ".join(f"{each_s:.2f}" for each_s in times_s)


def settled(daemon: Child, seconds: float) -> Usage:
    """Sample the daemon after some seconds without faults."""
    time.sleep(seconds)
    return daemon.usage()


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
