from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.sinks.homeassistant.examples import GPU, LABELS, site, stream
from tests.sinks.homeassistant.rules import faults

from framelane.sinks.homeassistant.announcer import Announcer

if TYPE_CHECKING:
    from framelane.messages.detections import Message

NAMES = site().names


class Broker:
    """Takes what is offered, and keeps what is retained."""

    def __init__(self) -> None:
        self.offered: list[Message] = []
        self.retained: dict[str | None, bytes] = {}

    def offer(self, message: Message) -> None:
        assert (message.kind, message.retain) == ("discovery", True)
        self.offered.append(message)
        self.retained[message.stream] = message.payload

    @property
    def said(self) -> list[tuple[str | None, bool]]:
        """Since the last look: whose device, and whether it was announced (else taken back)."""
        said, self.offered = [(message.stream, bool(message.payload)) for message in self.offered], []
        return said

    def give(self, announcer: Announcer) -> None:
        """What a subscriber gets first."""
        for name, payload in list(self.retained.items()):
            announcer.heard(NAMES.topic(name), payload)

    def entities(self, name: str | None) -> Any:
        return orjson.loads(self.retained[name])["cmps"]


@pytest.fixture
def broker() -> Broker:
    return Broker()


def started(broker: Broker, *ids: str, **homeassistant: Any) -> Announcer:
    announcer = Announcer(site(**homeassistant), broker.offer)
    announcer.announce([stream(name) for name in ids], LABELS, [])
    return announcer


def test_announcer_says_the_node_before_its_streams(broker: Broker) -> None:
    started(broker, "lobby", "yard")
    assert broker.said == [(None, True), ("lobby", True), ("yard", True)]
    assert [faults(orjson.loads(payload)) for payload in broker.retained.values()] == [[], [], []]


def test_announcer_says_all_again_when_home_assistant_starts(broker: Broker) -> None:
    announcer = started(broker, "lobby")
    assert broker.said == [(None, True), ("lobby", True)]
    announcer.heard("homeassistant/status", b"offline")
    assert broker.said == []
    announcer.heard("homeassistant/status", b"online")
    assert broker.said == [(None, True), ("lobby", True)]


def test_announcer_says_nothing_when_home_assistant_starts_before_it(broker: Broker) -> None:
    Announcer(site(), broker.offer).heard("homeassistant/status", b"online")
    assert broker.said == []


def test_announcer_takes_back_what_is_gone_when_it_is_told_anew(broker: Broker) -> None:
    announcer = started(broker, "lobby", "yard")
    assert len(broker.said) == 3
    announcer.announce([stream("yard"), stream("door")], LABELS, [])
    assert broker.said == [("lobby", False), ("door", True)]
    announcer.heard("homeassistant/status", b"online")
    assert broker.said == [(None, True), ("yard", True), ("door", True)]


@pytest.mark.parametrize("heard_first", [True, False])
def test_announcer_takes_back_what_an_earlier_start_has_left(broker: Broker, *, heard_first: bool) -> None:
    started(broker, "lobby", "yard")
    earlier, broker.offered = dict(broker.retained), []
    announcer = Announcer(site(), broker.offer)
    if heard_first:
        broker.give(announcer)
        assert broker.said == []
    announcer.announce([stream("yard")], LABELS, [])
    if not heard_first:
        for name, payload in earlier.items():
            announcer.heard(NAMES.topic(name), payload)
    assert sorted(broker.said, key=str) == [("lobby", False), ("yard", True), (None, True)]
    assert broker.retained["lobby"] == b""
    broker.give(announcer)
    assert broker.said == []


@pytest.mark.parametrize("heard_first", [True, False])
def test_announcer_takes_back_entities_that_are_gone(broker: Broker, *, heard_first: bool) -> None:
    """Home Assistant keeps an entity that is left out; one with a platform alone it removes."""
    started(broker, "lobby", classes=["person", "car"])
    earlier = broker.retained["lobby"]
    announcer = Announcer(site(classes=["car"]), broker.offer)
    if heard_first:
        announcer.heard(NAMES.topic("lobby"), earlier)
    announcer.announce([stream("lobby")], LABELS, [])
    if not heard_first:
        announcer.heard(NAMES.topic("lobby"), earlier)
    entities = broker.entities("lobby")
    assert (entities["occupancy_person"], entities["count_person"]) == (
        {"p": "binary_sensor"},
        {"p": "sensor"},
    )
    assert len(entities["occupancy_car"]) > 1
    broker.offered = []
    broker.give(announcer)
    assert broker.said == [], "what it hears of itself must not make it speak"
    # The start after that no longer needs to say so.
    started(broker, "lobby", classes=["car"]).heard(NAMES.topic("lobby"), orjson.dumps(
        {"o": {"name": "Framelane"}, "cmps": entities}))  # fmt: skip
    assert "occupancy_person" not in broker.entities("lobby")


def test_entity_that_comes_back_is_announced_whole(broker: Broker) -> None:
    announcer = started(broker, "lobby", classes=["person"])
    announcer.announce([stream("lobby", classes=["car"])], LABELS, [])
    assert broker.entities("lobby")["occupancy_person"] == {"p": "binary_sensor"}
    announcer.announce([stream("lobby")], LABELS, [])
    assert len(broker.entities("lobby")["occupancy_person"]) > 1


def test_gpus_are_entities_of_the_node(broker: Broker) -> None:
    announcer = started(broker)
    announcer.announce([], LABELS, [GPU])
    assert "gpu0_memory" in broker.entities(None)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (NAMES.topic("gone"), b""),
        (NAMES.topic("gone"), b"no json"),
        (NAMES.topic("gone"), b"[]"),
        (NAMES.topic("gone"), b'"text"'),
        (NAMES.topic("gone"), b"\xff\xfe"),
        (NAMES.topic("gone"), b'{"o":{"name":"Framelane"},"cmps":7}'),
        (NAMES.topic("gone"), b'{"o":{"name":"Framelane"},"cmps":{"a":"b"}}'),
        (NAMES.topic("gone"), b'{"o":{"name":"Framelane"},"cmps":{"a":{"p":1}}}'),
        (NAMES.topic("gone"), b'{"o":{"name":"Zigbee2MQTT"},"cmps":{}}'),
        ("homeassistant/device/framelane__gate-02__gone/config", b'{"o":{"name":"Framelane"},"cmps":{}}'),
        ("homeassistant/device/zigbee2mqtt_0x1/config", b'{"o":{"name":"Framelane"},"cmps":{}}'),
        ("framelane/gate-01/status", b"online"),
    ],
)
@pytest.mark.parametrize("announced", [True, False])
def test_announcer_leaves_alone_what_is_not_its_own(
    broker: Broker, topic: str, payload: bytes, *, announced: bool
) -> None:
    announcer = Announcer(site(), broker.offer)
    if announced:
        announcer.announce([stream()], LABELS, [])
    broker.offered = []
    announcer.heard(topic, payload)
    if not announced:
        announcer.announce([stream()], LABELS, [])
        assert broker.said == [(None, True), ("lobby", True)]
    assert broker.said == []
