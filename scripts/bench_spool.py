"""Measure a broker outage: results lost, publish rate, memory, disk, CPU, and speed of the replay.

    python scripts/bench_spool.py                              # 10 minutes of 16 streams at 30/s, 10 x as fast
    python scripts/bench_spool.py --minutes 10 --compress 1    # the same in real time

Results go through the daemon's own publisher and MQTT sink in a separate process without cameras and model,
so CPU and memory are those of delivery alone. The broker runs for a while, is stopped, and returns after the
outage. A subscriber checks that every result arrived, in order, and once. Only the outage is compressed in
time.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from framelane.measure.errors import BenchError
from framelane.measure.host import Host, describe_host
from framelane.measure.process import Child, Usage, peak_rss_mb
from framelane.measure.report import Goal, Section, figures_section, goals_section, number
from lab.completeness import Completeness
from lab.module import lab_child
from lab.neighbors import start_broker
from lab.script import command_line, run_script, say
from lab.spool_publisher import Publishing

if TYPE_CHECKING:
    from argparse import Namespace

    from framelane.measure.figures import Percentiles

# Otherwise mosquitto drops messages for a slow subscriber.
LOSSLESS = ("max_queued_messages 0",)
# Results per second of one stream.
RATE = 30.0
# Replayed messages per second.
REPLAY_GOAL = 2000.0
RATE_KEPT = 0.98
MOST_GROWTH_MB = 5.0
START_S = 30.0
# Most seconds for delivering the backlog.
MAKE_UP_S = 600.0
# After this long without a message all have arrived.
STILL_S = 5.0


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the measurement.

    Attributes:
        asked: requested results per second.
        window: the publisher's figures.
        cpu_us: its CPU per published result, or per delivered one after an outage.
        rss_mb: its memory, sampled every second.
    """

    asked: float
    window: Publishing
    cpu_us: float
    rss_mb: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Return published results per second."""
        return self.window.published / self.window.seconds

    @property
    def grown_mb(self) -> float:
        """Return by how much the most memory of the second half exceeds that of the first."""
        half = len(self.rss_mb) // 2
        return max(self.rss_mb[half:]) - max(self.rss_mb[: half or 1])


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """All phases and the arrived results."""

    host: Host
    command: str
    streams: int
    before: Phase
    outage: Phase
    replay: Phase
    arrived: Completeness
    published: int
    replay_s: float
    peak_rss_mb: float

    @property
    def lost(self) -> int:
        """Return the number of published results that never arrived."""
        return self.published - self.arrived.results

    @property
    def replay_rate(self) -> float:
        """Return messages per second during the replay, new ones included."""
        return (self.outage.window.queued + self.replay.window.published) / self.replay_s

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goals for an outage."""
        return (
            Goal.at_most("results lost", 0, self.lost),
            Goal.at_most("gaps in seq", 0, self.arrived.missing),
            Goal.at_most("results out of order", 0, self.arrived.disordered),
            Goal.at_least("publish rate kept in the outage", RATE_KEPT, self.outage.rate / self.outage.asked),
            Goal.at_least("messages per second during the replay", REPLAY_GOAL, self.replay_rate),
            Goal.at_most("memory growth over the outage", MOST_GROWTH_MB, self.outage.grown_mb, " MB"),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        more = {"lost": self.lost, "replay_rate": self.replay_rate}
        return {**asdict(self), **more, "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of phases, result and goals."""
        head = f"{self.streams} streams, {self.outage.window.published} results while the broker was away\n{self.host}"
        phases = (("broker up", self.before), ("broker away", self.outage), ("making up", self.replay))
        columns = (
            "phase",
            "seconds",
            "asked/s",
            "published/s",
            "publish ms p50 / p99",
            "CPU us per message",
            "most RSS MB",
        )
        rows = tuple((name, *_cells(phase)) for name, phase in phases)
        away, came = self.outage.window, self.arrived
        figures = {
            "published in all": number(self.published, 0),
            "arrived live / replayed / repeated": f"{came.live} / {came.replayed} / {came.repeated}",
            "on disk before the broker returned": f"{away.spooled} messages, {number(away.disk_bytes / 1e6)} MB",
            "bytes per message on disk": number(away.disk_bytes / max(away.spooled, 1), 0),
            "disk touched while the broker was up": f"{self.before.window.spooled} messages",
            "backlog delivered in": f"{number(self.replay_s)} s",
            "peak RSS": f"{number(self.peak_rss_mb)} MB",
        }
        return (
            Section(head, columns, rows),
            figures_section("Result", figures),
            goals_section(self.goals),
        )


def _cells(phase: Phase) -> tuple[str, ...]:
    return (
        number(phase.window.seconds),
        number(phase.asked, 0),
        number(phase.rate, 0),
        _spread(phase.window.publish_ms),
        number(phase.cpu_us),
        number(max(phase.rss_mb)),
    )


def _spread(publish_ms: Percentiles | None) -> str:
    return "-" if publish_ms is None else f"{number(publish_ms.p50, 3)} / {number(publish_ms.p99, 3)}"


class Bench:
    """Broker, subscriber and publisher as processes."""

    def __init__(self, arguments: Namespace, folder: Path, stack: ExitStack) -> None:
        self._arguments = arguments
        self._folder = folder
        self._stack = stack
        self._broker = stack.enter_context(ExitStack())
        self.published = 0
        self._url = start_broker(folder, "mosquitto", self._broker, LOSSLESS).url
        self.subscriber = self._start("subscriber", "spool_subscriber")
        place = str((arguments.folder or folder) / "spool")
        self.publisher = self._start(
            "publisher",
            "spool_publisher",
            place,
            str(arguments.streams),
            str(arguments.objects),
        )

    def phase(self, rate: float, seconds: float) -> Phase:
        """Publish at a rate for `seconds`."""
        self.publisher.ask(f"rate {rate}")
        self.window()
        before = self.publisher.usage()
        rss_mb, end_s = [before.rss_mb], time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 1.0))
            rss_mb.append(self.publisher.usage().rss_mb)
        window = self.window()
        return Phase(rate, window, self._cpu_us(before, window.published), tuple(rss_mb))

    def window(self) -> Publishing:
        """Return the publisher's figures since the last call."""
        window = Publishing.from_json(self.publisher.ask("window"))
        self.published += window.published
        return window

    def end_broker(self) -> None:
        """Stop the broker."""
        self._broker.close()

    def make_up(self, rate: float) -> tuple[Phase, float]:
        """Restart the broker; return the replay, and its seconds from the subscriber's return."""
        start_broker(self._folder, "mosquitto", self._broker, LOSSLESS, urlsplit(self._url).port)
        deadline_s = time.monotonic() + START_S
        while self.subscriber.ask("connected") != "true":
            if time.monotonic() > deadline_s:
                raise BenchError("the subscriber does not reconnect to the broker")
            time.sleep(0.05)
        # Time to subscribe again.
        time.sleep(1.0)
        before = self.publisher.usage()
        self.publisher.ask("go")
        began_s = time.monotonic()
        windows, rss_mb = [self.window()], [before.rss_mb]
        # The messages in flight don't count.
        while windows[-1].queued > rate:
            time.sleep(0.25)
            windows.append(self.window())
            rss_mb.append(self.publisher.usage().rss_mb)
            if time.monotonic() - began_s > MAKE_UP_S:
                raise BenchError(f"{windows[-1].queued} messages still wait after {MAKE_UP_S:g} s")
        took_s = time.monotonic() - began_s
        last = windows[-1]
        last.seconds = sum(window.seconds for window in windows)
        last.published = sum(window.published for window in windows)
        cpu_us = self._cpu_us(before, last.delivered - windows[0].delivered)
        return Phase(rate, last, cpu_us, tuple(rss_mb)), took_s

    def arrived(self) -> Completeness:
        """Return everything that arrived after publishing has stopped."""
        self.publisher.ask("rate 0")
        self.window()
        told, news_s = Completeness(), time.monotonic()
        while told.results < self.published and time.monotonic() - news_s < STILL_S:
            before, told = told, Completeness(**orjson.loads(self.subscriber.ask("told", START_S)))
            if told != before:
                news_s = time.monotonic()
            time.sleep(0.1)
        return told

    def _start(self, name: str, module: str, *more: str) -> Child:
        child = lab_child(name, self._folder, module, [self._url, *more])
        self._stack.enter_context(child)
        child.read_line(START_S)
        return child

    def _cpu_us(self, before: Usage, messages: int) -> float:
        return 1e6 * (self.publisher.usage().cpu_s - before.cpu_s) / max(messages, 1)


def measure(arguments: Namespace) -> SpoolReport:
    """Run all phases."""
    host = describe_host()
    rate = arguments.streams * RATE
    with ExitStack() as stack:
        bench = Bench(arguments, Path(stack.enter_context(TemporaryDirectory())), stack)
        bench.publisher.ask("go")
        say("broker up ...")
        bench.phase(rate, 2.0)
        before = bench.phase(rate, arguments.seconds)
        say(f"broker away for {arguments.minutes:g} minutes, {arguments.compress:g} times as fast ...")
        bench.end_broker()
        outage = bench.phase(rate * arguments.compress, arguments.minutes * 60 / arguments.compress)
        bench.publisher.ask(f"rate {rate}")
        # Time for the last messages to reach the disk.
        time.sleep(1.0)
        say(f"broker up again, {outage.window.queued} messages wait ...")
        replay, took_s = bench.make_up(rate)
        arrived = bench.arrived()
        peak_mb = peak_rss_mb(bench.publisher.pid)
    return SpoolReport(
        host=host,
        command=command_line(),
        streams=arguments.streams,
        before=before,
        outage=outage,
        replay=replay,
        arrived=arrived,
        published=bench.published,
        replay_s=took_s,
        peak_rss_mb=peak_mb,
    )


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--objects", type=int, default=2, help="a result")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the outage")
    parser.add_argument("--compress", type=float, default=10.0, help="speed-up of the outage")
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="seconds with the broker up before the outage"
    )
    parser.add_argument("--folder", type=Path, help="folder of the spool (default: a temporary one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
