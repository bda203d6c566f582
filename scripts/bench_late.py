"""Measure how late results are when cameras send far more than this machine can decode.

    python scripts/bench_late.py                                   # 24 live 1080p30 cameras, 70 s, about 90 s
    python scripts/bench_late.py --cameras 2 --size 640x480        # without overload: tens of ms

Lateness runs from sending a picture to the arrival of its result, by the cameras' own time stamps
(lab.lateness). It shows whether the daemon's own `latency_ms` is true. Cameras, broker and daemon are
separate processes that share the cores. The clip is made once and kept in the system's temporary folder.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from framelane.measure.figures import Percentiles, slope
from framelane.measure.host import Host, describe_host
from framelane.measure.process import peak_rss_mb
from framelane.measure.report import Goal, Section, figures_section, goals_section, latency_text, number
from lab.clip import Coding, kept_clip
from lab.lateness import Lateness, Stretch, Witness, lateness, stretches
from lab.neighbors import Site, stream_id
from lab.script import (
    FAKE_CAMERAS,
    FOOTAGE,
    MODEL,
    add_stream_options,
    command_line,
    make_parser,
    run_script,
    say,
    stream_options,
)
from lab.subscriber import subscribed

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from framelane.measure.process import Child

MOST_LATE_MS = 2800.0
"""A skipped GOP of two seconds, the bound itself, and some time to infer."""
MOST_UNTOLD_MS = 250.0
STRETCH_S = 10.0
END_S = 20.0
GROUPS = 4
BIT_RATE = 3_000_000
CAMERAS_END_S = 10.0


@dataclass(frozen=True, slots=True)
class LateReport:
    """One run.

    Attributes:
        cameras: number of cameras to serve.
        unmatched: results that match no session of their camera, so their lateness is unknown.
        results: results of each camera over the whole run.
        served: cameras with a result in the last 20 s.
        late_ms: from a picture's sending to its result's arrival, over the whole run.
        end_ms: the same in the last 20 s.
        growth: growth of lateness after the first 20 s, in seconds per minute.
        untold_ms: absolute difference between the daemon's `latency_ms` and the true lateness.
        captured_off_ms: absolute difference between `captured_at` and the time of sending.
        clocks: results by the clock behind their `captured_at`.
        over_time: lateness in consecutive stretches of time.
        reasons: dropped frames by reason.
        shares: share of the streams' time in each state and reason, after the first result.
        senders: the cameras' own figures.
    """

    host: Host
    command: str
    cameras: int
    seconds: float
    first_s: float
    unmatched: int
    results: dict[str, int]
    served: int
    late_ms: Percentiles | None
    end_ms: Percentiles | None
    growth: float
    untold_ms: Percentiles | None
    captured_off_ms: Percentiles | None
    clocks: dict[str, int]
    over_time: tuple[Stretch, ...]
    reasons: dict[str, int]
    shares: dict[str, float]
    reconnects: int
    daemon_cores: float
    peak_rss_mb: float
    senders: dict[str, float]

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goals: bounded lateness, every camera served, true `latency_ms`."""
        late, untold = self.late_ms, self.untold_ms
        return (
            Goal.at_most("lateness, at most", MOST_LATE_MS, late.most if late else None, " ms"),
            Goal.at_least("cameras served in the last 20 s", self.cameras, self.served),
            Goal.at_most(
                "latency_ms off the truth p95", MOST_UNTOLD_MS, untold.p95 if untold else None, " ms"
            ),
            Goal.at_most("results that match no session", 0, self.unmatched),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {**asdict(self), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of figures, lateness over time, and goals."""
        counts = sorted(self.results.values()) or [0]
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.shares.items())
        figures = {
            "first result after, s": number(self.first_s),
            "results of a camera, least / median / most": f"{counts[0]} / {median(counts):g} / {counts[-1]}",
            "lateness ms, p50 / p95 / most": _cells(self.late_ms),
            "the same in the last 20 s": _cells(self.end_ms),
            "growth of lateness, s per minute": number(self.growth, 2),
            "latency_ms off the truth, ms, p50 / p95 / most": _cells(self.untold_ms),
            "captured_at off the truth, ms, p50 / p95 / most": _cells(self.captured_off_ms),
            "clocks": _counts(self.clocks),
            "drops by reason": _counts(self.reasons),
            "share of time by state": shares or "-",
            "reconnects": str(self.reconnects),
            "daemon cores / peak RSS MB": f"{self.daemon_cores:.2f} / {self.peak_rss_mb:.0f}",
            **{f"cameras: {name}": number(value, 2) for name, value in self.senders.items()},
        }
        head = f"{self.cameras} live cameras for {self.seconds:g} s\n{self.host}"
        return figures_section(head, figures), self._over_time(), goals_section(self.goals)

    def _over_time(self) -> Section:
        rows = tuple(
            (
                f"{each.begin_s:.0f} to {each.end_s:.0f}",
                str(each.results),
                str(each.streams),
                latency_text(each.late_ms),
                number(each.late_ms.most if each.late_ms else None),
                number(each.untold_ms.p95 if each.untold_ms else None),
            )
            for each in self.over_time
        )
        columns = ("s", "results", "cameras", "late ms, p50 / p90 / p95 / p99", "most", "latency_ms off, p95")
        return Section("Over time, from the daemon's start", columns, rows)


def _cells(spread: Percentiles | None) -> str:
    return f"{spread.p50:,.0f} / {spread.p95:,.0f} / {spread.most:,.0f}" if spread else "-"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "-"


@dataclass(frozen=True, slots=True)
class Run:
    """The end of a run: times on the monotonic clock, CPU and memory."""

    begin_s: float
    end_s: float
    cpu_s: float
    peak_rss_mb: float


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 24)
    parser.add_argument("--cameras", type=int, dest="streams", help="alias of --streams")
    parser.add_argument("--size", default="1920x1080", help="size of the cameras' pictures")
    parser.add_argument("--rate", type=int, default=30, help="frames per second of each camera")
    parser.add_argument("--gop-s", type=float, default=2.0, help="seconds from one key frame to the next")
    parser.add_argument("--fps", type=float, default=1.0, help="`fps` of each stream; 0 infers all frames")
    parser.add_argument(
        "--seconds", type=float, default=70.0, help="length of the run, from the daemon's start"
    )
    parser.add_argument("--processes", type=int, default=2, help="number of camera processes")
    parser.add_argument("--model", type=Path, default=MODEL)
    add_stream_options(parser)
    return parser.parse_args()


def clip_of(arguments: Namespace) -> Path:
    """Return the clip that the cameras show; make it if necessary."""
    if arguments.clip is not None:
        return Path(arguments.clip)
    width, height = (int(side) for side in arguments.size.split("x"))
    coding = Coding(
        (width, height), arguments.rate, round(arguments.gop_s * arguments.rate), BIT_RATE, scene_cuts=False
    )
    say("making the clip if it is missing ...")
    return kept_clip(FOOTAGE, coding, GROUPS)


def defaults_of(arguments: Namespace) -> dict[str, object]:
    """Return the options of all streams."""
    return stream_options(arguments) | ({"fps": arguments.fps} if arguments.fps else {})


def start_cameras(
    arguments: Namespace, site: Site, clip: Path
) -> tuple[list[Child], list[str], list[tuple[int, str]]]:
    """Start the cameras; return their processes, and the URL, process and path of each stream."""
    children, shares = [], []
    for process in range(min(arguments.processes, arguments.streams)):
        count = len(range(process, arguments.streams, arguments.processes))
        child, urls = site.cameras(FAKE_CAMERAS, clip, count, f"cameras{process}")
        children.append(child)
        shares += [(process, url) for url in urls]
    places = [(process, url.rpartition("/")[2]) for process, url in shares]
    return children, [url for _, url in shares], places


def measure(arguments: Namespace) -> LateReport:
    """Run the daemon against the cameras, then ask the cameras when they sent what."""
    host = describe_host()
    clip = clip_of(arguments)
    with Site(arguments.broker, subscribers=0) as site:
        cameras, urls, places = start_cameras(arguments, site, clip)
        witness = Witness()
        client = subscribed(
            site.url,
            site.protocol,
            ["framelane/+/streams/+/+"],
            lambda payload: witness.book(payload, time.monotonic(), time.time()),
        )
        daemon = site.daemon({"path": str(arguments.model.resolve())}, urls, **defaults_of(arguments))
        run = watch(daemon, arguments.seconds, witness)
        client.disconnect()
        client.loop_stop()
        senders = [told(child) for child in cameras]
    plays_s = {
        stream_id(index): senders[process]["plays"][path] for index, (process, path) in enumerate(places)
    }
    return describe(arguments, host, witness, run, plays_s, senders)


def watch(daemon: Child, seconds: float, witness: Witness) -> Run:
    """Run the daemon for `seconds`, and print the progress every ten seconds."""
    begin_s = time.monotonic()
    with daemon:
        while (left_s := begin_s + seconds - time.monotonic()) > 0:
            time.sleep(min(left_s, STRETCH_S))
            cpu_s = daemon.usage().cpu_s
            say(
                f"  {time.monotonic() - begin_s:.0f} s: {len(witness.sightings)} results, {cpu_s:.0f} s of CPU"
            )
        end_s = time.monotonic()
        return Run(begin_s, end_s, cpu_s, peak_rss_mb(daemon.pid))


def told(child: Child) -> dict[str, Any]:
    """Stop a camera process and return its report."""
    child.stop()
    body: dict[str, Any] = json.loads(child.read_line(CAMERAS_END_S))
    plays = {camera["path"]: camera["plays_s"] for camera in body["cameras"]}
    return body | {"plays": plays}


def describe(
    arguments: Namespace,
    host: Host,
    witness: Witness,
    run: Run,
    plays_s: dict[str, list[float]],
    senders: Sequence[dict[str, Any]],
) -> LateReport:
    """Return all figures of a run."""
    sightings = [each for each in witness.sightings if each.arrived_s < run.end_s]
    found = lateness(sightings, plays_s)
    over_time = stretches(found, run.begin_s, run.end_s, STRETCH_S)
    last = [each for each in found if each.arrived_s >= run.end_s - END_S]
    first_s = sightings[0].arrived_s if sightings else run.end_s
    counts = Counter(each.stream for each in sightings)
    return LateReport(
        host=host,
        command=command_line(),
        cameras=arguments.streams,
        seconds=arguments.seconds,
        first_s=first_s - run.begin_s,
        unmatched=len(sightings) - len(found),
        results={stream: counts[stream] for stream in plays_s},
        served=len({each.stream for each in last}),
        late_ms=Percentiles.of_seconds([each.true_s for each in found]),
        end_ms=Percentiles.of_seconds([each.true_s for each in last]),
        growth=growth_of(found, run.begin_s + END_S),
        untold_ms=Percentiles.of_seconds([abs(each.untold_s) for each in found]),
        captured_off_ms=Percentiles.of_seconds([abs(each.captured_off_s) for each in found]),
        clocks=dict(Counter(each.clock for each in found)),
        over_time=tuple(over_time),
        reasons=witness.reasons,
        shares=witness.shares(list(plays_s), first_s, run.end_s),
        reconnects=witness.reconnects,
        daemon_cores=run.cpu_s / (run.end_s - run.begin_s),
        peak_rss_mb=run.peak_rss_mb,
        senders=sending(senders),
    )


def growth_of(found: Sequence[Lateness], since_s: float) -> float:
    """Return the growth of lateness since `since_s`, in seconds per minute."""
    late = [each for each in found if each.arrived_s >= since_s]
    return 60 * slope([each.arrived_s for each in late], [each.true_s for each in late]) if late else 0.0


def sending(senders: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return whether the cameras kept up. A picture counts as captured when it is sent, late or not."""
    cameras = [camera for each in senders for camera in each["cameras"]]
    return {
        "cores": sum(each["cpu_s"] / each["wall_s"] for each in senders),
        "frames sent": sum(camera["frames_sent"] for camera in cameras),
        "frames dropped for a slow reader": sum(camera["frames_dropped"] for camera in cameras),
        "sent late ms, mean": sum(camera["late_mean_ms"] for camera in cameras) / len(cameras),
        "sent late ms, most": max(camera["late_max_ms"] for camera in cameras),
    }


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
