from __future__ import annotations

from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions, make_certificates
from tests.neighbours.subscriber import Login, Subscriber

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.enums import MQTTProtocolVersion
    from tests.neighbours.mosquitto import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("protocol", [mqtt.MQTTv5, mqtt.MQTTv311])
def test_mosquitto_delivers_when_it_is_plain(tmp_path: Path, protocol: MQTTProtocolVersion) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(broker.url, "a/#", protocol=protocol) as subscriber:
        subscriber.client.publish("a/b", b"{}", qos=2)
        assert subscriber.wait_for(lambda message: message.topic == "a/b").json == {}


def test_mosquitto_asks_for_a_password_when_it_has_users(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, MosquittoOptions(users=(("framelane", "right"),))) as broker:
        with Subscriber(broker.url, login=Login("framelane", "right")):
            pass
        with pytest.raises(AssertionError, match="Not authorized"):
            Subscriber(broker.url, login=Login("framelane", "wrong")).open()


def test_mosquitto_asks_for_a_certificate_when_told_to(tmp_path: Path, certificates: Certificates) -> None:
    options = MosquittoOptions(certificates=certificates, require_client_certificate=True)
    with Mosquitto(tmp_path, options) as broker:
        assert broker.url.startswith("mqtts://")
        with Subscriber(broker.url, "a", login=Login(certificates=certificates)) as subscriber:
            subscriber.client.publish("a", b"1", qos=1)
            assert subscriber.wait_for(lambda _: True).payload == b"1"


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_mosquitto_is_back_on_its_port_when_it_is_started_again(tmp_path: Path, ending: str) -> None:
    with Mosquitto(tmp_path, MosquittoOptions(persistence=True)) as broker:
        url = broker.url
        with Subscriber(url, "kept") as subscriber:
            subscriber.client.publish("kept", b"1", qos=1, retain=True)
            subscriber.wait_for(lambda _: True)
        getattr(broker, ending)()
        with pytest.raises(OSError, match="refused"):
            Subscriber(url).open()
        broker.start()
        assert broker.url == url
        with Subscriber(url, "kept") as subscriber:
            if ending == "stop":
                assert subscriber.wait_for(lambda _: True).payload == b"1"
