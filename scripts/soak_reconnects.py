"""Whether reconnects cost anything that lasts: memory, threads, descriptors, as cameras are killed and revived.

    python scripts/soak_reconnects.py --reconnects 200      # 4 cameras at a time, about 5 minutes

The embedded cameras run in this process, where their faults can be steered.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.bench.figures import Percentiles, change
from framelane.bench.host import Host, describe_host
from framelane.bench.neighbours import Site
from framelane.bench.null_model import write_null_model
from framelane.bench.report import Goal, Section, figures_section, goals_section, latency_text
from framelane.bench.script import command_line, make_clip, make_parser, run_script, say
from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from argparse import Namespace

    from framelane.bench.neighbours import Subscriber
    from framelane.bench.process import Child, Usage

MOST_CHANGE = 0.05
BACKOFF = {"first_s": 0.2, "most_s": 1.0}
TOLD_EVERY = 20


@dataclass(frozen=True, slots=True)
class ReconnectsReport:
    """The daemon before and after.

    Attributes:
        asked: reconnects that were wanted after the warm-up.
        reconnects: as the daemon counts them in its streams' states, warm-up included.
        warmup: reconnects before `before` was taken, in which caches fill.
        live_again_ms: from a revival until every camera's third result has come.
        before: the daemon with all streams live, after the warm-up.
        after: the same at the end.
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

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What issue 2 asks."""
        before, after = self.before, self.after
        return (
            Goal.at_least("reconnects", self.asked, self.reconnects - self.warmup),
            Goal.at_most("change of RSS", MOST_CHANGE, abs(change(before.rss_mb, after.rss_mb))),
            Goal.at_most("threads more than before", 0, after.threads - before.threads),
            Goal.at_most("descriptors more than before", 0, after.descriptors - before.descriptors),
        )

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {**asdict(self), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Summary and goals."""
        before, after = self.before, self.after
        figures = {
            "reconnects, of them warm-up": f"{self.reconnects}, {self.warmup}",
            "RSS MB, before / after": f"{before.rss_mb:.1f} / {after.rss_mb:.1f}",
            "threads, before / after": f"{before.threads} / {after.threads}",
            "descriptors, before / after": f"{before.descriptors} / {after.descriptors}",
            "ms until live again, p50 / p90 / p95 / p99": latency_text(self.live_again_ms),
        }
        head = f"{self.streams} cameras, killed and revived\n{self.host}"
        return figures_section(head, figures), goals_section(self.goals)


@dataclass(frozen=True, slots=True)
class Trial:
    """Cameras, and a daemon that watches them."""

    server: RtspServer
    paths: list[str]
    subscriber: Subscriber
    daemon: Child

    def kill_and_revive(self, reconnects: int) -> list[float]:
        """All cameras at once, until that makes so many reconnects; returns how many seconds each revival took."""
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
    parser.add_argument("--reconnects", type=int, default=200, help="after the warm-up, all cameras together")
    parser.add_argument("--warmup", type=int, default=20, help="reconnects before the first look")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds of peace before either look")
    parser.add_argument("--model", type=Path, help="a model that takes no time if not given")
    return parser.parse_args()


def measure(arguments: Namespace) -> ReconnectsReport:
    """Run the daemon, and give it a hard time."""
    host = describe_host()
    with Site(arguments.broker) as site:
        clip = make_clip(arguments, site)
        model = arguments.model.resolve() if arguments.model else write_null_model(site.folder / "null.onnx")
        paths = [f"cam{number:02d}" for number in range(arguments.streams)]
        with RtspServer([CameraSpec(path, clip) for path in paths]) as server:
            urls = [server.url(path) for path in paths]
            site.subscriber.open()
            with site.daemon({"path": str(model)}, urls, backoff=BACKOFF) as daemon:
                trial = Trial(server, paths, site.subscriber, daemon)
                site.subscriber.wait_for_streams(len(paths), daemon)
                trial.kill_and_revive(arguments.warmup)
                before = settled(daemon, arguments.settle)
                waits_s = trial.kill_and_revive(arguments.reconnects)
                after = settled(daemon, arguments.settle)
                reconnects = sum(site.subscriber.close().reconnects.values())
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
    )


def settled(daemon: Child, seconds: float) -> Usage:
    """The daemon after some peace."""
    time.sleep(seconds)
    return daemon.usage()


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
