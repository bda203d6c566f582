"""Compare Framelane from result to acknowledgment with plain paho: messages per second, CPU per message.

    python scripts/bench_mqtt.py                     # 64 streams, 10 objects each, 5 rounds, 1.5 minutes

Every round floods the broker with plain paho, then with Framelane, and then has Framelane send results at the
streams' frame rate. Plain paho gets ready payloads; Framelane makes its own from results. Each is a separate
process on one core; the broker and a consumer that discards everything have another.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.measure.figures import Spread
from framelane.measure.host import Host, describe_host
from framelane.measure.process import in_child
from framelane.measure.report import Goal, Section, figures_section, goals_section, spread_cell
from lab.delivery import Delivered, Load, deliver_framelane, deliver_paho
from lab.module import lab_child
from lab.neighbors import start_broker
from lab.script import command_line, make_parser, run_script, say

if TYPE_CHECKING:
    from argparse import Namespace

LEAST_RATIO = 0.8
START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round: plain paho, Framelane, and Framelane at the streams' own rate."""

    paho: Delivered
    framelane: Delivered
    paced: Delivered

    @property
    def ratio(self) -> float:
        """Return Framelane's rate divided by paho's."""
        return self.framelane.rate / self.paho.rate


@dataclass(frozen=True, slots=True)
class MqttReport:
    """All rounds with their summary and goals."""

    host: Host
    command: str
    load: Load
    rounds: tuple[Round, ...]

    @property
    def summary(self) -> dict[str, Spread]:
        """Return the main figures over all rounds."""
        return {
            "ratio": Spread.of([each.ratio for each in self.rounds]),
            "cpu_ratio": Spread.of([each.paho.cpu_us / each.framelane.cpu_us for each in self.rounds]),
            "paho_messages_s": Spread.of([each.paho.rate for each in self.rounds]),
            "framelane_messages_s": Spread.of([each.framelane.rate for each in self.rounds]),
            "paho_cpu_us_a_message": Spread.of([each.paho.cpu_us for each in self.rounds]),
            "framelane_cpu_us_a_message": Spread.of([each.framelane.cpu_us for each in self.rounds]),
            "paced_messages_s": Spread.of([each.paced.rate for each in self.rounds]),
            "paced_cpu_us_a_message": Spread.of([each.paced.cpu_us for each in self.rounds]),
        }

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goal: making and keeping messages costs little of paho's rate."""
        return (Goal.at_least("Framelane's rate over paho's", LEAST_RATIO, self.summary["ratio"].median),)

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        summary = {name: asdict(spread) for name, spread in self.summary.items()}
        return {**asdict(self), "summary": summary, "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of summary and goals."""
        load = self.load
        head = (
            f"{load.streams} streams, {load.objects} objects per result, MQTT {load.protocol}, {load.encoding}, "
            f"QoS {load.qos}, {load.inflight} in flight, {len(self.rounds)} rounds: "
            f"median (lowest to highest)\n{self.host}"
        )
        cells = {name: spread_cell(spread, 2) for name, spread in self.summary.items()}
        return figures_section(head, cells), goals_section(self.goals)


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 64)
    parser.add_argument("--objects", type=int, default=10, help="objects in each result")
    parser.add_argument("--fps", type=float, default=30.0, help="results per second and stream, when paced")
    parser.add_argument("--batch", type=int, default=4, help="results that come at once, when paced")
    parser.add_argument("--qos", type=int, default=1, choices=(0, 1, 2))
    parser.add_argument("--inflight", type=int, default=256, help="most unacknowledged messages")
    parser.add_argument("--protocol", default="5", choices=("5", "3.1.1"))
    parser.add_argument("--payload", default="json", choices=("json", "msgpack"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of each of the three measurements of a round"
    )
    return parser.parse_args()


def measure(arguments: Namespace) -> MqttReport:
    """Run all rounds."""
    host = describe_host()
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="framelane-bench-")))
        settings = (f"max_inflight_messages {arguments.inflight}", f"max_topic_alias {arguments.streams}")
        broker = start_broker(folder, arguments.broker, stack, settings)
        consumer = stack.enter_context(lab_child("consumer", folder, "drain", [broker.url, "framelane/#"]))
        consumer.read_line(START_TIMEOUT_S)
        for child in (broker.child, consumer):
            os.sched_setaffinity(child.pid, cores[1:] or cores)
        url = broker.url if arguments.protocol == "5" else broker.url_v311
        load = load_of(arguments, url, cores[0])
        rounds = [run_round(load, arguments, index) for index in range(arguments.rounds)]
    return MqttReport(host, command_line(), load, tuple(rounds))


def load_of(arguments: Namespace, url: str, core: int) -> Load:
    """Return the load of the command line, without a rate limit."""
    return Load(
        url=url,
        protocol=arguments.protocol,
        encoding=arguments.payload,
        qos=arguments.qos,
        inflight=arguments.inflight,
        streams=arguments.streams,
        objects=arguments.objects,
        rate=None,
        burst=arguments.batch,
        seconds=arguments.seconds,
        core=core,
    )


def run_round(load: Load, arguments: Namespace, index: int) -> Round:
    """Measure all three in turn, because machines drift."""
    say(f"round {index + 1} of {arguments.rounds}: paho, Framelane, paced ...")
    paho = in_child(deliver_paho, load)
    framelane = in_child(deliver_framelane, load)
    paced = in_child(deliver_framelane, replace(load, rate=arguments.fps * arguments.streams))
    say(
        f"  {paho.rate:,.0f} and {framelane.rate:,.0f} messages/s; paced {paced.cpu_us:.0f} us of CPU per message"
    )
    return Round(paho, framelane, paced)


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
