"""Measure what one camera with very many objects costs the others: their rate beside it and without it.

    python scripts/bench_crowded.py                          # 8 cameras, 200 objects in each frame of the first
    python scripts/bench_crowded.py --objects 300 --rounds 1

All cameras have tracks, two lines and two zones. The others show ten people and cars. The boxes of the first are in
other places in each frame, so that the tracker has as much to do as it can have. Objects above the cap of tracks must
be counted. Rounds with and without such a camera take turns.
"""

from __future__ import annotations

import sys
import urllib.request
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framelane.measure.figures import Spread
from framelane.measure.host import Host, describe_host
from framelane.measure.report import Goal, Section, figures_section, goals_section, spread_cell
from lab.crowd import RULES, numbered_clip, scattered, walking, write_crowd_model
from lab.daemon_run import DaemonRun, Window, measure_daemon
from lab.neighbors import Site, camera_child, free_port, stream_id
from lab.script import FAKE_CAMERAS, command_line, make_parser, run_script, say

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

LEAST_RATE = 0.95
FRAMES = 600
FEW = 10
FIRST = stream_id(0)


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the daemon without the crowded camera, then with it.

    Attributes:
        tracks: most tracks of the crowded camera.
        capped: its objects that were not tracked, because it had too many.
    """

    without: DaemonRun
    crowded: DaemonRun
    tracks: int
    capped: int

    @property
    def slowest_other(self) -> float:
        """Return the least rate of another camera beside the crowded one, as a share of its rate without."""
        others = [name for name in self.without.streams_fps if name != FIRST]
        return min(
            self.crowded.streams_fps.get(name, 0.0) / self.without.streams_fps[name] for name in others
        )


@dataclass(frozen=True, slots=True)
class CrowdedReport:
    """All rounds with their summary and goals."""

    host: Host
    command: str
    streams: int
    objects: int
    fps: int
    rounds: tuple[Round, ...]

    @property
    def summary(self) -> dict[str, Spread]:
        """Return the main figures over all rounds."""
        rounds = self.rounds
        of_first = [each.crowded.streams_fps.get(FIRST, 0.0) for each in rounds]
        runs = {"without": [each.without for each in rounds], "crowded": [each.crowded for each in rounds]}
        return {
            "slowest other camera, share of its rate": Spread.of([each.slowest_other for each in rounds]),
            "crowded camera, results/s": Spread.of(of_first),
            "its tracks, at most": Spread.of([each.tracks for each in rounds]),
            "its objects over the cap": Spread.of([each.capped for each in rounds]),
            **{f"{name}: dropped": Spread.of([run.dropped for run in own]) for name, own in runs.items()},
            **{f"{name}: cores": Spread.of([run.cpu_cores for run in own]) for name, own in runs.items()},
            **{f"{name}: p95 ms": Spread.of([_p95_ms(run) for run in own]) for name, own in runs.items()},
        }

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return what must hold in every round."""
        worst = min(each.slowest_other for each in self.rounds)
        return (
            Goal.at_least("slowest other camera, share of its rate", LEAST_RATE, worst),
            Goal.at_least(
                "objects over the cap that were counted", 1, min(each.capped for each in self.rounds)
            ),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {**asdict(self), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of summary and goals."""
        head = (
            f"{self.streams} cameras at {self.fps} frames/s, {self.objects} objects on one, "
            f"{len(self.rounds)} rounds: median (lowest to highest)\n{self.host}"
        )
        cells = {name: spread_cell(spread, 3) for name, spread in self.summary.items()}
        return figures_section(head, cells), goals_section(self.goals)


class TrackCounts:
    """The crowded camera's tracks, as the daemon's metrics tell them."""

    def __init__(self, port: int) -> None:
        self.tracks = self.capped = 0
        self._url = f"http://127.0.0.1:{port}/metrics"

    def look(self) -> None:
        """Read the metrics."""
        with urllib.request.urlopen(self._url, timeout=5) as reply:  # noqa: S310 - our own daemon
            lines = reply.read().decode().splitlines()
        for line in lines:
            if line.startswith(f'framelane_tracks{{stream="{FIRST}"}}'):
                self.tracks = max(self.tracks, round(float(line.split()[-1])))
            elif line.startswith(f'framelane_tracks_capped_total{{stream="{FIRST}"}}'):
                self.capped = round(float(line.split()[-1]))


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 8)
    parser.add_argument("--objects", type=int, default=200, help="in each frame of the first camera")
    parser.add_argument("--fps", type=int, default=25, help="frames per second of each camera")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement of a round")
    parser.add_argument("--warmup", type=float, default=5.0, help="seconds after all streams deliver")
    return parser.parse_args()


def measure(arguments: Namespace) -> CrowdedReport:
    """Run all rounds."""
    host, rounds = describe_host(), []
    with Site(arguments.broker) as site:
        few = numbered_clip(site.folder / "few.mp4", 0, FRAMES, arguments.fps)
        many = numbered_clip(site.folder / "many.mp4", FRAMES, FRAMES, arguments.fps)
        model = site.folder / "crowd.onnx"
        write_crowd_model(model, walking(FEW, FRAMES), scattered(arguments.objects, FRAMES))
        for number in range(arguments.rounds):
            say(f"round {number + 1} of {arguments.rounds}")
            without, _ = run(arguments, site, model, [few] * arguments.streams)
            crowded, counts = run(arguments, site, model, [many] + [few] * (arguments.streams - 1))
            rounds.append(Round(without, crowded, counts.tracks, counts.capped))
            say(f"  {rounds[-1].slowest_other:.3f} of its rate, {counts.capped} over the cap")
    return CrowdedReport(
        host, command_line(), arguments.streams, arguments.objects, arguments.fps, tuple(rounds)
    )


def run(arguments: Namespace, site: Site, model: Path, clips: list[Path]) -> tuple[DaemonRun, TrackCounts]:
    """Measure the daemon on cameras that show these clips."""
    with camera_child(site.folder, FAKE_CAMERAS, clips, len(clips)) as cameras:
        urls = [cameras.read_line(20.0) for _ in clips]
        port = free_port()
        more = {"http": {"listen": f"127.0.0.1:{port}"}}
        path = site.configure({"path": str(model)}, urls, more, RULES, track=True)
        counts = TrackCounts(port)
        window = Window(len(clips), arguments.warmup, arguments.seconds, look=counts.look)
        return measure_daemon(site.daemon_on(path), site.subscriber, [cameras, site.broker], window), counts


def _p95_ms(run: DaemonRun) -> float:
    return run.publish_ms.p95 if run.publish_ms else 0.0


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
