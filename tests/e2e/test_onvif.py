"""A whole daemon that says in ONVIF's words, and to Home Assistant, who is in a zone."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.daemon import Daemon
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Subscriber
from tests.sinks.homeassistant.rules import rendered

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

WAIT_S = 60.0
INSIDE = "framelane/onvif-ej/RuleEngine/FieldDetector/ObjectsInside/&lobby/gate-01/all"
COUNTER = "framelane/onvif-ej/RuleEngine/CountAggregation/Counter/&lobby/gate-01/street:left:person"
COUNT = "framelane/gate-01/streams/lobby/zones/all/person"
DEVICE = "homeassistant/device/framelane__gate-01__lobby/config"


def config(material: Material, broker: str, folder: Path, workers: int) -> dict[str, Any]:
    zone = {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "classes": ["person"], "enter_s": 0.2}
    return {
        "node": {"id": "gate-01", "shutdown_s": 5},
        "log": {"format": "json"},
        "mqtt": {"url": broker, "homeassistant": {"enabled": True}},
        "onvif": {"enabled": True},
        "journal": {"folder": str(folder)},
        "workers": workers,
        "models": {"tiny": {"path": str(material.tiny), "size": [160, 128]}},
        "streams": [
            {"id": "lobby", "url": str(material.plain), "loop": True, "fps": 5, "track": True, "zones": {"all": zone}}
        ],
    }  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_zone_is_an_onvif_property_and_two_entities(material: Material, tmp_path: Path, workers: int) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.url, "#") as subscriber:
        with Daemon(tmp_path, config(material, broker.url, tmp_path / "journal", workers)) as daemon:
            inside = subscriber.wait_for(
                lambda message: message.topic == INSIDE and b'"IsInside":true' in message.payload, WAIT_S
            ).json
            assert inside["Source"] == {
                "VideoSource": "lobby", "AnalyticsConfiguration": "gate-01", "Rule": "all"
            }  # fmt: skip
            two = subscriber.wait_for(
                lambda message: message.topic == COUNT and b'"count":2' in message.payload, WAIT_S
            )
            entities = subscriber.wait_for(lambda message: message.topic == DEVICE, WAIT_S).json["cmps"]
            count, occupied = (entities[f"zone_{kind}__all__person"] for kind in ("count", "occupancy"))
            assert count["stat_t"] == occupied["stat_t"] == COUNT
            assert rendered(count["val_tpl"], two.payload) == "2"
            assert rendered(occupied["val_tpl"], two.payload) == "ON"
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
        subscriber.wait_for(lambda message: message.topic == COUNT and b'"known":false' in message.payload)
        assert subscriber.on_topic(INSIDE)[-1].payload == b""
        last = subscriber.on_topic(COUNT)[-1].payload
        assert rendered(count["avty"][1]["val_tpl"], last) == "offline"


def test_properties_leave_the_broker_when_onvif_is_switched_off(material: Material, tmp_path: Path) -> None:
    line = {"points": [[0.1, 0.5], [0.9, 0.5]], "classes": ["person"]}
    with Mosquitto(tmp_path / "broker") as broker:
        written = config(material, broker.url, tmp_path / "journal", workers=1)
        written["streams"][0]["lines"] = {"street": line}
        for enabled in (True, False):
            written["onvif"]["enabled"] = enabled
            with Subscriber(broker.url, "#") as subscriber, Daemon(tmp_path, written) as daemon:
                subscriber.wait_for(
                    lambda message: message.topic == COUNTER and message.payload != b"", WAIT_S
                )
                if not enabled:
                    subscriber.wait_for(
                        lambda message: message.topic == COUNTER and message.payload == b"", WAIT_S
                    )
                daemon.signal(signal.SIGTERM)
                assert daemon.wait() == 0
        # What the broker has now comes at once, and before what is published after it.
        with Subscriber(broker.url, "#") as late:
            late.wait_for(lambda message: message.topic == DEVICE, WAIT_S)
            late.client.publish("after", b"", qos=1).wait_for_publish(5)
            late.wait_for(lambda message: message.topic == "after", WAIT_S)
            assert late.on_topic("framelane/onvif-ej/#") == []
