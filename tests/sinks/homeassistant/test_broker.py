"""Discovery through a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Subscriber
from tests.sinks.examples import FAREWELL, Watch
from tests.sinks.homeassistant.examples import LABELS, stream
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

from framelane.config.sections.homeassistant import HomeAssistantConfig
from framelane.config.sections.mqtt import MqttConfig
from framelane.core.backoff import Backoff
from framelane.core.clock import SystemClock
from framelane.sinks.homeassistant.announcer import announce_through
from framelane.sinks.mqtt.sink import MqttSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.neighbours.subscriber import Received

    from framelane.sinks.homeassistant.announcer import Announcer

NODE = "homeassistant/device/framelane__gate-01/config"
LOBBY, YARD = (f"homeassistant/device/framelane__gate-01__{name}/config" for name in ("lobby", "yard"))


class Node:
    """As much of a daemon as announces."""

    def __init__(self, url: str, protocol: str) -> None:
        config = MqttConfig(url=url, protocol=protocol, homeassistant=HomeAssistantConfig(enabled=True))  # type: ignore[arg-type]
        self.watch = Watch()
        self.sink = MqttSink(
            config, "gate-01", "run-1", SystemClock(), watch=self.watch, backoff=Backoff(0.05, 0.1)
        )
        announcer = announce_through(self.sink, "gate-01", config)
        assert announcer is not None
        self.announcer: Announcer = announcer

    def __enter__(self) -> Node:
        self.sink.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.stop(5.0, FAREWELL)

    def announce(self, *ids: str) -> None:
        self.announcer.announce([stream(name) for name in ids], LABELS, [])


@pytest.fixture(params=["5", "3.1.1"])
def protocol(request: pytest.FixtureRequest) -> str:
    text: str = request.param
    return text


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


def retained(broker: Mosquitto) -> dict[str, Any]:
    """What is announced, as one who comes late learns it."""
    with Subscriber(broker.url, "homeassistant/#", "end") as late:
        late.client.publish("end", b"1", qos=1)
        late.wait_for(lambda message: message.topic == "end")
        return {message.topic: message.json for message in late.messages if message.retain}


def announced(subscriber: Subscriber, topic: str, count: int = 1) -> Received:
    def fits(message: Received) -> bool:
        return message.topic == topic and bool(message.payload)

    return subscriber.wait_for_count(count, predicate=fits)[-1]


def removed(subscriber: Subscriber, topic: str) -> None:
    subscriber.wait_for(lambda message: message.topic == topic and not message.payload)


def test_devices_are_retained(broker: Mosquitto, protocol: str) -> None:
    with Subscriber(broker.url, "homeassistant/#") as subscriber, Node(broker.url, protocol) as node:
        node.announce("lobby")
        first = announced(subscriber, LOBBY)
        assert first.qos == 1
        assert retained(broker).keys() == {NODE, LOBBY}
    assert retained(broker).keys() == {NODE, LOBBY}, "a node that is stopped is unavailable, not gone"


def test_devices_are_announced_again_when_home_assistant_starts(broker: Mosquitto, protocol: str) -> None:
    with Subscriber(broker.url, "homeassistant/#") as subscriber, Node(broker.url, protocol) as node:
        node.announce("lobby")
        announced(subscriber, LOBBY)
        subscriber.client.publish("homeassistant/status", b"online", qos=1)
        assert announced(subscriber, NODE, 2).payload == announced(subscriber, NODE).payload
        announced(subscriber, LOBBY, 2)


def test_removed_stream_is_taken_back(broker: Mosquitto, protocol: str) -> None:
    with Subscriber(broker.url, "homeassistant/#") as subscriber, Node(broker.url, protocol) as node:
        node.announce("lobby", "yard")
        announced(subscriber, YARD)
        node.announce("yard")
        removed(subscriber, LOBBY)
        assert retained(broker).keys() == {NODE, YARD}


@pytest.mark.parametrize("order", ["connected first", "announced first"])
def test_stream_of_an_earlier_start_is_taken_back(broker: Mosquitto, protocol: str, order: str) -> None:
    foreign = {
        "homeassistant/device/other/config": b'{"o":{"name":"other"},"cmps":{}}',
        "homeassistant/device/framelane__gate-02__lobby/config": b'{"o":{"name":"Framelane"},"cmps":{}}',
    }
    with Subscriber(broker.url, "homeassistant/#") as subscriber:
        for topic, payload in foreign.items():
            subscriber.client.publish(topic, payload, qos=1, retain=True)
        with Node(broker.url, protocol) as node:
            node.announce("lobby", "yard")
            announced(subscriber, YARD)
        node = Node(broker.url, protocol)
        if order == "announced first":
            node.announce("yard")
        with node:
            node.watch.wait(connected=True)
            if order == "connected first":
                wait_until(lambda: {None, "lobby", "yard"} == node.announcer._found.keys())
                node.announce("yard")
            removed(subscriber, LOBBY)
            assert retained(broker).keys() == {NODE, YARD, *foreign}


def test_devices_are_announced_again_when_the_broker_has_forgotten_them(
    broker: Mosquitto, protocol: str
) -> None:
    with Node(broker.url, protocol) as node:
        node.announce("lobby", "yard")
        wait_until(lambda: node.sink.health().delivered == 3)
        node.announce("lobby")
        wait_until(lambda: node.sink.health().delivered == 4)
        broker.kill()
        node.watch.wait(connected=False)
        broker.start()
        with Subscriber(broker.url, "homeassistant/#") as subscriber:
            announced(subscriber, LOBBY)
            # What was taken back needs no second word.
            subscriber.client.publish("homeassistant/end", b"1", qos=1)
            subscriber.wait_for(lambda message: message.topic.endswith("/end"))
            assert YARD not in {message.topic for message in subscriber.messages}


def test_removal_waits_for_the_broker(broker: Mosquitto, protocol: str) -> None:
    with Node(broker.url, protocol) as node, Subscriber(broker.url, "homeassistant/#") as before:
        node.announce("lobby", "yard")
        announced(before, YARD)
        broker.kill()
        node.watch.wait(connected=False)
        node.announce("lobby")
        broker.start()
        with Subscriber(broker.url, "homeassistant/#") as subscriber:
            removed(subscriber, YARD)


def test_broker_that_grants_no_subscription_is_named_in_the_log() -> None:
    """mosquitto grants all, and withholds what its rules forbid to read."""
    with (
        FakeBroker([Manner(suback=b"\x01\x87")]) as broker,
        capture_logs() as logs,
        Node(broker.url, "5") as node,
    ):
        node.announce("lobby")
        broker.wait_for_publishes(2)
        wait_until(lambda: any(line["event"] == "homeassistant_deaf" for line in logs))
    denied = [line for line in logs if line["event"] == "homeassistant_deaf"]
    assert [(line["topic"], line["log_level"]) for line in denied] == [
        ("homeassistant/device/+/config", "warning")
    ]
    assert "not authorized" in denied[0]["text"]
    assert "allow this client to read it" in denied[0]["text"]
