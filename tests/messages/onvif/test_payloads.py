"""Topics and payloads in ONVIF's words, compared with the examples of the Core Specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from tests.events.examples import PERSON, crossing

from framelane.config.sections.mqtt import MqttConfig
from framelane.messages.events import event_id, event_message
from framelane.messages.onvif.payloads import COUNTER, CROSSED, Source, counter_sources, crossed_message
from framelane.sinks.mqtt.publish_headers import PublishHeaders

if TYPE_CHECKING:
    from framelane.messages.detections import Message


def topic(message: Message, prefix: str, node: str) -> str:
    header = PublishHeaders(MqttConfig(url="mqtt://h", prefix=prefix), node).of(message)
    assert header.qos == 1
    return header.topic


def test_topic_and_payload_are_those_of_the_specifications_example() -> None:
    """Core Specification, "Event Broker", "JSON Event Payload", example."""
    at = "2008-10-10T12:24:57.321Z"
    made = Source("2", "1", "MyImportantFence1").message(CROSSED, at, {"ObjectId": "15"}, retain=False)
    assert topic(made, "MyDevice", "2") == (
        "MyDevice/onvif-ej/RuleEngine/LineDetector/Crossed/&1/2/MyImportantFence1"
    )
    assert orjson.loads(made.payload) == {
        "UtcTime": "2008-10-10T12:24:57.321Z",
        "Source": {"VideoSource": "1", "AnalyticsConfiguration": "2", "Rule": "MyImportantFence1"},
        "Data": {"ObjectId": "15"},
    }


def test_property_is_deleted_at_its_own_topic() -> None:
    source = Source("gate-01", "lobby", "yard")
    said = source.message(COUNTER, "2008-10-10T12:24:57.321Z", {"Count": 1}, retain=True)
    assert (said.retain, said.key) == (True, f"{COUNTER}/&lobby/gate-01/yard")
    deleted = source.deleted(COUNTER)
    assert (deleted.payload, deleted.retain, deleted.key) == (b"", True, said.key)


def test_crossing_names_the_object_its_class_and_its_direction() -> None:
    happened = crossing(direction="right")
    made = crossed_message(orjson.loads(event_message("gate-01", happened, None).payload))
    assert (made.kind, made.stream, made.retain) == ("onvif", "lobby", False)
    assert topic(made, "framelane", "gate-01") == (
        "framelane/onvif-ej/RuleEngine/LineDetector/Crossed/&lobby/gate-01/street"
    )
    body = orjson.loads(made.payload)
    assert body["UtcTime"] == "2026-11-22T09:00:00.123456Z"
    assert body["Data"] == {
        "ObjectId": PERSON.id,
        "ClassTypes": "Human",
        "framelane:Direction": "right",
        "framelane:Event": event_id("gate-01", happened),
    }


@pytest.mark.parametrize(
    ("label", "level"),
    [("a+b#c/d", "abcd"), ("traffic light", "traffic light"), ("ü", "ü"), ("a\x00b", "ab")],
)
def test_what_mqtt_reserves_is_left_out_of_topics_but_not_of_payloads(label: str, level: str) -> None:
    source = counter_sources("gate-01", "lobby", "street", label)["left"]
    made = source.message(COUNTER, "2008-10-10T12:24:57.321Z", {"Count": 1}, retain=True)
    assert made.key == f"{COUNTER}/&lobby/gate-01/street:left:{level}"
    assert orjson.loads(made.payload)["Source"]["Rule"] == f"street:left:{label}"
