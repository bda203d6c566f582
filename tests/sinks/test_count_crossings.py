"""The consumer of docs/events.md, through a real broker: exact counts whatever happens on the way."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.events.examples import crossing, line_state
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Subscriber
from tests.sinks.examples import WALL_S
from tests.waiting import wait_until

from framelane.messages.detections import as_replayed
from framelane.messages.events import Count, cleared_message, event_message, line_message
from framelane.messages.timestamps import timestamp
from framelane.messages.topics import topic_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.messages.detections import Message

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "scripts" / "count_crossings.py"
KEY = ("gate-01", "lobby", "street", "person", "left")
EPOCH_S = WALL_S - 3600
EPOCH = timestamp(EPOCH_S)


def test_page_shows_the_program_as_it_is() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "events.md").read_text(), re.DOTALL)
    assert shown == PROGRAM.read_text().partition("\n")[2]


class Lines:
    """What the program has printed so far, in words."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, kind: str) -> list[list[str]]:
        return [line.split()[1:] for line in self._path.read_text().splitlines() if line.split()[0] == kind]

    def wait_for(self, *expected: str) -> None:
        wait_until(lambda: list(expected) in self.of("count"))


class Node:
    """As much of a daemon as publishes events and counters."""

    def __init__(self, broker: Mosquitto) -> None:
        self._publisher = Subscriber(broker.url, "nothing")
        self._publisher.open()
        self.total = 0

    def close(self) -> None:
        self._publisher.close()

    def crosses(self, epoch_s: float = EPOCH_S) -> Message:
        """Count one more object."""
        self.total += 1
        return event_message("gate-01", crossing(self.total), Count(self.total, epoch_s))

    def publish(self, *messages: Message) -> None:
        for message in messages:
            topic = topic_of("framelane/gate-01", message.kind, message.stream, message.key)
            sent = self._publisher.client.publish(topic, message.payload, qos=1, retain=message.retain)
            sent.wait_for_publish(10.0)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker", MosquittoOptions(log="subscribe", persistence=True)) as running:
        yield running


@pytest.fixture
def node(broker: Mosquitto) -> Iterator[Node]:
    made = Node(broker)
    yield made
    made.close()


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    path = tmp_path / "lines"
    path.touch()
    return Lines(path)


@contextmanager
def program(broker: Mosquitto, tmp_path: Path) -> Iterator[None]:
    command = [sys.executable, str(PROGRAM), "127.0.0.1", str(broker.port)]
    subscribed = broker.log.count("my-counter 1 framelane/+/streams/+/lines/#")
    with (tmp_path / "lines").open("ab") as out, subprocess.Popen(command, stdout=out) as process:
        try:
            wait_until(lambda: broker.log.count("my-counter 1 framelane/+/streams/+/lines/#") > subscribed)
            yield
        finally:
            process.kill()


def test_duplicates_and_replays_count_once(
    broker: Mosquitto, node: Node, lines: Lines, tmp_path: Path
) -> None:
    with program(broker, tmp_path):
        sent = [node.crosses() for _ in range(20)]
        draw = random.Random(3)
        late = draw.sample(sent, 12)
        node.publish(*sent[:10], *sent[5:15], *sent[15:], *map(as_replayed, late))
        lines.wait_for(*KEY, EPOCH, "20")
        node.publish(line_message("gate-01", line_state(left=20, right=1)))
        lines.wait_for(*KEY[:-1], "right", EPOCH, "1")
    assert len(lines.of("crossed")) == 20
    assert [int(words[-1]) for words in lines.of("count") if words[4] == "left"] == list(range(1, 21))


def test_lost_and_late_events_leave_no_wrong_count(
    broker: Mosquitto, node: Node, lines: Lines, tmp_path: Path
) -> None:
    with program(broker, tmp_path):
        sent = [node.crosses() for _ in range(5)]
        node.publish(sent[0], sent[4])
        lines.wait_for(*KEY, EPOCH, "5")
        node.publish(as_replayed(sent[2]), node.crosses())
        lines.wait_for(*KEY, EPOCH, "6")
    assert [words[-1] for words in lines.of("count")] == ["1", "5", "6"]
    assert len(lines.of("crossed")) == 4


def test_new_epoch_starts_again_and_late_events_of_the_old_one_do_not_bring_it_back(
    broker: Mosquitto, node: Node, lines: Lines, tmp_path: Path
) -> None:
    midnight_s = EPOCH_S + 1800
    with program(broker, tmp_path):
        old = [node.crosses() for _ in range(9)]
        node.publish(*old[:8], line_message("gate-01", line_state(left=0, right=0, epoch=midnight_s)))
        lines.wait_for(*KEY, timestamp(midnight_s), "0")
        node.total = 0
        first = event_message("gate-01", crossing(10), Count(1, midnight_s))
        node.publish(as_replayed(old[8]), first)
        lines.wait_for(*KEY, timestamp(midnight_s), "1")
    assert len(lines.of("crossed")) == 10


def test_unknown_counters_and_lines_that_go_change_no_count(
    broker: Mosquitto, node: Node, lines: Lines, tmp_path: Path
) -> None:
    with program(broker, tmp_path):
        node.publish(
            node.crosses(),
            line_message("gate-01", line_state(left=None, right=None, epoch=None)),
            event_message("gate-01", crossing(99), None),
            cleared_message("lines", "lobby", "street/person"),
            node.crosses(),
        )
        lines.wait_for(*KEY, EPOCH, "2")
    assert [words[-1] for words in lines.of("count")] == ["1", "2"]
    assert len(lines.of("crossed")) == 3


def test_restarts_of_the_program_and_of_the_broker_lose_nothing(
    broker: Mosquitto, node: Node, lines: Lines, tmp_path: Path
) -> None:
    with program(broker, tmp_path):
        node.publish(node.crosses(), line_message("gate-01", line_state(left=1, right=0)))
        lines.wait_for(*KEY, EPOCH, "1")
    # While it is away: events wait in its session, and the retained counters are newer than they are.
    node.publish(*(node.crosses() for _ in range(3)), line_message("gate-01", line_state(left=4, right=0)))
    with program(broker, tmp_path):
        wait_until(lambda: len(lines.of("crossed")) >= 4)
        lines.wait_for(*KEY, EPOCH, "4")
        node.close()
        broker.restart()
        again = Node(broker)
        again.total = node.total
        wait_until(lambda: broker.log.count("my-counter 1 framelane/+/streams/+/lines/#") >= 3)
        again.publish(again.crosses(), line_message("gate-01", line_state(left=5, right=0)))
        lines.wait_for(*KEY, EPOCH, "5")
        again.close()
