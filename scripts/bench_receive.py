"""Measure CPU per received 1080p picture, without decoding: our RTSP reader and PyAV with FFmpeg's parser.

    python scripts/bench_receive.py --json receive.json           # 24 cameras of 1080p30, 5 rounds
    python scripts/bench_receive.py --mbit 8 --transport udp

The cameras run in a separate process. In each round both readers, one after the other, read all cameras in a
fresh process; the order alternates.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import av

from framelane.measure.figures import Spread
from framelane.measure.host import Host, describe_host
from framelane.measure.process import in_child
from framelane.measure.report import Goal, Section, figures_section, goals_section, number, spread_cell
from lab.clip import Coding, kept_clip
from lab.neighbors import Site
from lab.receive import Received, Way, receive
from lab.script import FAKE_CAMERAS, FOOTAGE, command_line, make_parser, run_script, say

if TYPE_CHECKING:
    from argparse import Namespace

FPS = 30
GROUPS = 10
MOST_SHARE = 0.5
WAYS: tuple[Way, ...] = ("ours", "ffmpeg")


@dataclass(frozen=True, slots=True)
class ReceiveReport:
    """Both readers over all rounds.

    Attributes:
        cameras: number of cameras read at the same time.
        mbit: bit rate of one camera's stream, in Mbit/s.
        transport: RTSP transport.
        versions: versions of PyAV and FFmpeg.
        rounds: what each reader received, by reader and round.
    """

    host: Host
    command: str
    cameras: int
    mbit: float
    transport: str
    versions: str
    rounds: dict[Way, list[Received]]

    def cpu_ms(self, way: Way) -> Spread:
        """Return a reader's CPU time per picture over the rounds."""
        return Spread.of([each.cpu_ms for each in self.rounds[way]])

    @property
    def share(self) -> Spread:
        """Return our CPU time per picture as a share of FFmpeg's, by round."""
        pairs = zip(self.rounds["ours"], self.rounds["ffmpeg"], strict=True)
        return Spread.of([ours.cpu_ms / theirs.cpu_ms for ours, theirs in pairs])

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goal of issue 15."""
        return (Goal.at_most("our CPU per picture as a share of FFmpeg's", MOST_SHARE, self.share.median),)

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {**asdict(self), "share": asdict(self.share), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of figures and goals."""
        figures = {}
        for way, name in zip(WAYS, ("our reader", "PyAV with FFmpeg's parser"), strict=True):
            rounds = self.rounds[way]
            rate = Spread.of([each.pictures / each.seconds for each in rounds])
            waits = Spread.of([each.waits / each.pictures for each in rounds])
            figures[f"{name}: CPU ms per picture"] = spread_cell(self.cpu_ms(way), 3)
            figures[f"{name}: pictures per second"] = spread_cell(rate, 0)
            figures[f"{name}: waits per picture; threads"] = f"{spread_cell(waits, 2)}; {rounds[0].threads}"
        figures["ours as a share of FFmpeg's, by round"] = spread_cell(self.share, 2)
        stream = f"1080p{FPS} H.264, {number(self.mbit)} Mbit/s, {self.transport}"
        head = f"{self.cameras} cameras of {stream}; {self.versions}\n{self.host}"
        return figures_section(head, figures), goals_section(self.goals)


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each reader per round")
    parser.add_argument("--mbit", type=float, default=3.0, help="bit rate of each camera, in Mbit/s")
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp")
    return parser.parse_args()


def measure(arguments: Namespace) -> ReceiveReport:
    """Run all rounds against the same cameras."""
    host = describe_host()
    coding = Coding((1920, 1080), FPS, gop=FPS, bit_rate=round(arguments.mbit * 1e6), scene_cuts=False)
    clip = arguments.clip or kept_clip(FOOTAGE, coding, GROUPS)
    rounds: dict[Way, list[Received]] = {way: [] for way in WAYS}
    with Site("embedded", subscribers=0) as site:
        _, urls = site.cameras(FAKE_CAMERAS, clip, arguments.streams)
        for index in range(arguments.rounds):
            for way in WAYS if index % 2 == 0 else WAYS[::-1]:
                found = in_child(receive, way, urls, arguments.seconds, arguments.transport)
                rounds[way].append(found)
                say(f"round {index + 1}: {way} {found.cpu_ms:.3f} ms per picture")
    return ReceiveReport(
        host=host,
        command=command_line(),
        cameras=arguments.streams,
        mbit=arguments.mbit,
        transport=arguments.transport,
        versions=f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}",
        rounds=rounds,
    )


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments(), lambda report: all(goal.met for goal in report.goals)))
