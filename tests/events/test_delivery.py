"""Events through a real broker that comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.events.desk import config_of
from tests.events.examples import crossing, event
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Subscriber
from tests.sinks.examples import FAREWELL, detections
from tests.waiting import wait_until

from framelane.config.sections.mqtt import MqttConfig
from framelane.core.backoff import Backoff
from framelane.core.clock import SystemClock
from framelane.core.events import Occupancy
from framelane.events.journal import EventJournal
from framelane.events.outbox import Outbox
from framelane.sinks.mqtt.sink import MqttSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.neighbours.subscriber import Received

BASE = "framelane/gate-01/streams/lobby"


class Post:
    """A journal and a sink, with their threads."""

    def __init__(self, folder: Path, url: str) -> None:
        clock = SystemClock()
        self.outbox = Outbox(clock)
        self.sink = MqttSink(
            MqttConfig(url=url), "gate-01", "run-1", clock, backoff=Backoff(0.05, 0.1), events=self.outbox
        )
        self.journal = EventJournal(
            config_of(folder), {}, clock, self.sink.offer, self.outbox, lambda _trouble: None
        )
        self.sink.start()
        self.journal.start()

    def stop(self, drain_s: float = 30.0) -> None:
        self.journal.conclude(30.0)
        self.sink.stop(drain_s, FAREWELL)
        self.journal.stop(30.0)

    def cross(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self.journal.take([crossing(number)])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    options = MosquittoOptions(persistence=True, lossless=True)
    with Mosquitto(tmp_path / "broker", options) as running:
        yield running


def totals(messages: list[Received]) -> list[int]:
    return [message.json["total"] for message in messages]


def once(messages: list[Received]) -> list[Received]:
    """Without what came before: the broker itself repeats what the subscriber had not acknowledged."""
    found: dict[str, Received] = {}
    for message in messages:
        found.setdefault(message.json["event"], message)
    return list(found.values())


def test_events_are_delivered_once_in_order_and_acknowledged_ones_forgotten(
    tmp_path: Path, broker: Mosquitto
) -> None:
    post = Post(tmp_path / "journal", broker.url)
    with Subscriber(broker.url, f"{BASE}/#") as subscriber:
        post.cross(1, 2000)
        got = subscriber.wait_for_count(2000, 60, lambda message: message.topic == f"{BASE}/events")
        assert totals(got) == list(range(1, 2001))
        assert {(message.qos, message.retain) for message in got} == {(1, False)}
        properties = got[0].properties
        assert properties is not None
        assert ("schema", "framelane.event/1") in getattr(properties, "UserProperty", ())
        assert not hasattr(properties, "MessageExpiryInterval")
        wait_until(lambda: post.journal.health.undelivered == 0)
    post.stop()
    again = Post(tmp_path / "journal", broker.url)
    wait_until(lambda: bool(again.journal.states))
    assert len(again.outbox) == 0
    again.stop()


def test_events_wait_for_a_broker_and_are_replayed_in_order(tmp_path: Path, broker: Mosquitto) -> None:
    post = Post(tmp_path / "journal", broker.url)
    with Subscriber(broker.url, f"{BASE}/events", client_id="consumer", session_s=600) as subscriber:
        post.cross(1, 100)
        subscriber.wait_for_count(100, 60)
        broker.stop()
        post.cross(101, 1500)
        for seq in range(1, 500):
            post.sink.offer(detections(seq))
        wait_until(lambda: len(post.outbox) == 1400)
        # Without a chance to deliver: the next run does.
        post.stop(0.0)
        post = Post(tmp_path / "journal", broker.url)
        post.cross(1501, 1600)
        wait_until(lambda: len(post.outbox) == 1500)
        broker.start()
        wait_until(lambda: len(post.outbox) == 0)
        wait_until(lambda: len(once(subscriber.messages)) == 1600)
        got = once(subscriber.messages)
        assert totals(got) == list(range(1, 1601))
        assert all(message.json["replayed"] for message in got[100:1500])
    post.stop()


def test_late_subscriber_gets_counters_and_counts(tmp_path: Path, broker: Mosquitto) -> None:
    post = Post(tmp_path / "journal", broker.url)
    post.cross(1, 5)
    post.journal.take([Occupancy("lobby", "yard", "person", 0, 0.0)])
    wait_until(lambda: len(post.outbox) == 0 and len(post.journal.states) == 3)
    wait_until(lambda: any(getattr(state, "left", 0) == 5 for state in post.journal.states))
    post.stop()
    with Subscriber(broker.url, f"{BASE}/lines/#", f"{BASE}/zones/#") as subscriber:
        got = {message.topic: message.json for message in subscriber.wait_for_count(3)}
    assert (got[f"{BASE}/lines/street/person"]["left"], got[f"{BASE}/lines/street/car"]["left"]) == (5, 0)
    assert got[f"{BASE}/zones/yard/person"]["known"] is False


def test_event_that_the_broker_refuses_for_good_is_forgotten_and_counted(tmp_path: Path) -> None:
    options = MosquittoOptions(writable=f"{BASE}/lines/#")
    with Mosquitto(tmp_path / "strict", options) as strict:
        post = Post(tmp_path / "journal", strict.url)
        post.journal.take([event(1)])
        wait_until(lambda: post.sink.health().dropped_by["refused"] >= 1)
        wait_until(lambda: len(post.outbox) == 0)
        post.stop()
