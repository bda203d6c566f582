"""Topics of all kinds of messages, also through a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.events.examples import line_state
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Subscriber
from tests.sinks.examples import FAREWELL, Watch

from framelane.config.sections.mqtt import MqttConfig
from framelane.core.backoff import Backoff
from framelane.core.clock import SystemClock
from framelane.messages.detections import Message
from framelane.messages.events import line_message
from framelane.messages.onvif.payloads import COUNTER
from framelane.messages.onvif.properties import OnvifProperties
from framelane.sinks.mqtt.publish_headers import PublishHeaders
from framelane.sinks.mqtt.sink import MqttSink

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        (Message("status", None, b"{}", retain=True), "site/gate-01/status"),
        (Message("zones", "lobby", b"", retain=True, key="yard/car"), "site/gate-01/streams/lobby/zones/yard/car"),
        (Message("discovery", "lobby", b"{}", retain=True), "homeassistant/device/site__gate-01__lobby/config"),
        (Message("onvif", "lobby", b"{}", retain=True, key="RuleEngine/x/&lobby"), "site/onvif-ej/RuleEngine/x/&lobby"),
    ],
)  # fmt: skip
def test_topic_of_each_kind(message: Message, topic: str) -> None:
    headers = PublishHeaders(MqttConfig(url="mqtt://h", prefix="site", qos=0), "gate-01")
    assert (headers.of(message).topic, headers.of(message).qos) == (topic, 1)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_onvif_properties_are_retained_and_deleted(tmp_path: Path, protocol: str) -> None:
    filter_ = f"framelane/onvif-ej/{COUNTER}/#"
    properties = OnvifProperties("gate-01")
    known = line_message("gate-01", line_state())
    unknown = line_message("gate-01", line_state(left=None, right=None, epoch=None))
    with Mosquitto(tmp_path) as broker:
        config = MqttConfig.model_validate({"url": broker.url, "protocol": protocol})
        sink = MqttSink(config, "gate-01", "run-1", SystemClock(), watch=Watch(), backoff=Backoff(0.05, 0.1))
        sink.start()
        try:
            with Subscriber(broker.url, filter_) as early:
                for message in properties.follow(known):
                    sink.offer(message)
                early.wait_for_count(2)
            with Subscriber(broker.url, filter_) as late:
                found = late.wait_for_count(2)
                assert {message.topic.rpartition("/")[2]: message.json["Data"] for message in found} == {
                    "street:left:person": {"Count": 42},
                    "street:right:person": {"Count": 7},
                }
                assert all(message.retain for message in found)
                for message in properties.follow(unknown):
                    sink.offer(message)
                late.wait_for_count(2, predicate=lambda message: not message.payload)
            with Subscriber(broker.url, filter_, "end") as later:
                later.client.publish("end", b"1", qos=1)
                later.wait_for(lambda message: message.topic == "end")
                assert [message.topic for message in later.messages] == ["end"]
        finally:
            sink.stop(5.0, FAREWELL)
