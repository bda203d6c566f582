from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from tests.neighbours.subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("iotcore", reason="iotcore is not installed: pip install 'framelane[demo]'")

from framelane.demo.broker import BrokerError, EmbeddedBroker

DAEMON = Path(__file__).resolve().parents[2] / "daemon"
PROTOCOLS = {"v5": mqtt.MQTTv5, "v311": mqtt.MQTTv311}


@pytest.fixture  # one a test, and no test connects after a disconnect: rumqttd's fault in broker.py
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


def url_of(broker: EmbeddedBroker, version: str) -> str:
    return broker.url if version == "v5" else broker.url_v311


def publish(subscriber: Subscriber, topic: str, payload: bytes, **options: Any) -> None:
    subscriber.client.publish(topic, payload, **options).wait_for_publish(5)


@pytest.mark.parametrize("version", PROTOCOLS)
def test_broker_delivers_every_message_when_a_thousand_come_at_once(
    broker: EmbeddedBroker, version: str
) -> None:
    with Subscriber(url_of(broker, version), f"burst/{version}", protocol=PROTOCOLS[version]) as subscriber:
        for number in range(1000):
            subscriber.client.publish(f"burst/{version}", str(number), qos=1)
        received = subscriber.wait_for_count(1000)
    assert [str(number).encode() for number in range(1000)] == [message.payload for message in received]


@pytest.mark.parametrize("version", PROTOCOLS)
def test_broker_keeps_the_newest_when_messages_are_retained(broker: EmbeddedBroker, version: str) -> None:
    topic = f"state/{version}"
    with Subscriber(url_of(broker, version), "none", protocol=PROTOCOLS[version]) as publisher:
        publish(publisher, topic, b"old", qos=1, retain=True)
        publish(publisher, topic, b"new", qos=1, retain=True)
        with Subscriber(url_of(broker, version), topic, protocol=PROTOCOLS[version]) as late:
            message = late.wait_for(lambda message: message.topic == topic)
    assert message.payload == b"new"
    assert message.retain


@pytest.mark.parametrize("version", PROTOCOLS)
def test_broker_publishes_the_will_when_a_client_breaks_off(broker: EmbeddedBroker, version: str) -> None:
    with Subscriber(url_of(broker, version), "will/#", protocol=PROTOCOLS[version]) as watcher:
        dying = Subscriber(url_of(broker, version), "none", protocol=PROTOCOLS[version])
        dying.client.will_set(f"will/{version}", b"offline", qos=1)
        dying.open()
        dying.client.loop_stop()
        connection = dying.client.socket()
        assert connection is not None
        connection.close()
        message = watcher.wait_for(lambda message: message.topic == f"will/{version}")
        dying.close()
    assert message.payload == b"offline"


def test_broker_joins_both_versions_when_one_publishes(broker: EmbeddedBroker) -> None:
    with (
        Subscriber(broker.url, "joined", protocol=mqtt.MQTTv5) as v5,
        Subscriber(broker.url_v311, "joined", protocol=mqtt.MQTTv311) as v311,
    ):
        publish(v5, "joined", b"hello", qos=1)
        assert v311.wait_for(lambda _: True).payload == b"hello"
        assert v5.wait_for(lambda _: True).payload == b"hello"


def test_broker_passes_properties_on_when_mqtt5_is_spoken(broker: EmbeddedBroker) -> None:
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = "application/json"
    properties.UserProperty = [("node", "gate-01")]
    with Subscriber(broker.url, "described") as subscriber:
        publish(subscriber, "described", b"{}", qos=1, properties=properties)
        received = subscriber.wait_for(lambda _: True)
    arrived: Any = received.properties
    assert arrived.ContentType == "application/json"
    assert arrived.UserProperty == [("node", "gate-01")]


def test_broker_takes_a_large_message_when_it_is_below_4_mib(broker: EmbeddedBroker) -> None:
    with Subscriber(broker.url, "large") as subscriber:
        publish(subscriber, "large", b"x" * 1_000_000, qos=1)
        assert len(subscriber.wait_for(lambda _: True).payload) == 1_000_000


def test_broker_listens_on_loopback_only_when_started(broker: EmbeddedBroker) -> None:
    assert broker.url.startswith("mqtt://127.0.0.1:")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", broker.port), timeout=1)


def test_broker_takes_the_same_ports_when_started_again() -> None:
    broker = EmbeddedBroker()
    broker.start()
    ports = (broker.port, broker.port_v311)
    broker.stop()
    broker.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", ports[0]), timeout=1)
    with broker:
        broker.start()
        assert ports == (broker.port, broker.port_v311)


def test_broker_refuses_when_its_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        broker = EmbeddedBroker(port=taken.getsockname()[1], port_v311=1)
        with pytest.raises(BrokerError, match="does not start"):
            broker.start()


def test_broker_dies_when_its_parent_is_killed() -> None:
    program = (
        "import sys, time; from framelane.demo.broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(); broker.start(); print(broker.port, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(DAEMON), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            # The broker's death closes the connection: readable, and at its end.
            assert select.select([connection], [], [], 5)[0]
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
    pytest.fail("the broker outlived its parent")
