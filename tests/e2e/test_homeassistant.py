"""Whole daemons that announce themselves to Home Assistant, in one process and in several."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.daemon import Daemon
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Subscriber
from tests.sinks.homeassistant.rules import faults, rendered

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Material
    from tests.neighbours.subscriber import Received

pytestmark = pytest.mark.e2e

BASE, DEVICE = "framelane/gate-01", "homeassistant/device/framelane__gate-01"
WAIT_S = 60.0
ENTITIES = {"occupancy_person", "count_person"}


def config(material: Material, broker: str, streams: list[str], **sections: Any) -> dict[str, Any]:
    return {
        "node": {"id": "gate-01", "stats_s": 1, "shutdown_s": 5},
        "log": {"format": "json"},
        "mqtt": {"url": broker, "homeassistant": {"enabled": True, "classes": ["person"]}},
        "models": {"tiny": {"path": str(material.tiny), "size": [160, 128]}},
        "streams": [
            {"id": name, "url": str(material.plain), "loop": True, "fps": 5} for name in streams
        ],
        **sections,
    }  # fmt: skip


def stop(daemon: Daemon) -> None:
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def on(subscriber: Subscriber, topic: str, count: int = 1) -> Received:
    return subscriber.wait_for_count(count, WAIT_S, lambda message: message.topic == topic)[-1]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_sensor_reads_what_the_daemon_says(material: Material, tmp_path: Path, workers: int) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.url, "#") as subscriber:
        with Daemon(tmp_path, config(material, broker.url, ["lobby", "yard"], workers=workers)) as daemon:
            node = on(subscriber, f"{DEVICE}/config").json
            lobby = on(subscriber, f"{DEVICE}__lobby/config").json
            on(subscriber, f"{DEVICE}__yard/config")
            for device in (node, lobby):
                assert faults(device) == []
                for key, entity in device["cmps"].items():
                    count = 3 if entity["stat_t"].endswith("/stats") else 1  # the first windows may be empty
                    text = rendered(entity["val_tpl"], on(subscriber, entity["stat_t"], count).payload)
                    assert text, f"{key} reads nothing"
            assert lobby["cmps"].keys() >= ENTITIES
            seen = on(subscriber, f"{BASE}/streams/lobby/detections").payload
            assert rendered(lobby["cmps"]["count_person"]["val_tpl"], seen) == "2"
            assert rendered(lobby["cmps"]["occupancy_person"]["val_tpl"], seen) == "ON"
            subscriber.client.publish("homeassistant/status", b"online", qos=1)
            for name in ("", "__lobby", "__yard"):
                on(subscriber, f"{DEVICE}{name}/config", 2)
            stop(daemon)
        subscriber.wait_for(
            lambda message: message.topic == f"{BASE}/status" and b"offline" in message.payload
        )
        offline = subscriber.on_topic(f"{BASE}/status")[-1].payload
        assert rendered(node["avty"][0]["val_tpl"], offline) == "offline"
        announcements = [message.topic for message in subscriber.on_topic("homeassistant/device/+/config")]
        assert len(announcements) == 6, "each device once, and once more for Home Assistant's start"


def test_what_is_no_longer_configured_is_gone_after_a_restart(material: Material, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.url, "homeassistant/#") as subscriber:
        with Daemon(tmp_path / "first", config(material, broker.url, ["lobby", "yard"])) as daemon:
            on(subscriber, f"{DEVICE}__yard/config")
            stop(daemon)
        fewer = config(material, broker.url, ["lobby"])
        fewer["mqtt"]["homeassistant"]["classes"] = ["car"]
        with Daemon(tmp_path / "second", fewer) as daemon:
            assert on(subscriber, f"{DEVICE}__yard/config", 2).payload == b""
            subscriber.wait_for(
                lambda message: (
                    message.topic == f"{DEVICE}__lobby/config"
                    and message.json["cmps"].get("count_person") == {"p": "sensor"}
                ),
                WAIT_S,
            )
            stop(daemon)
        with Subscriber(broker.url, "homeassistant/#") as late:
            late.wait_for_count(2, WAIT_S)
            late.client.publish("homeassistant/end", b"1", qos=1)
            late.wait_for(lambda message: message.topic == "homeassistant/end")
            retained = {message.topic for message in late.messages if message.retain}
        assert retained == {f"{DEVICE}/config", f"{DEVICE}__lobby/config"}


def test_nothing_is_announced_when_it_is_not_asked_for(material: Material, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.url, "#") as subscriber:
        plain = config(material, broker.url, ["lobby"], mqtt={"url": broker.url})
        with Daemon(tmp_path, plain) as daemon:
            on(subscriber, f"{BASE}/streams/lobby/detections")
            stop(daemon)
        assert subscriber.on_topic("homeassistant/#") == []


def test_label_that_no_model_knows_ends_the_start(material: Material, tmp_path: Path) -> None:
    wrong = config(material, "mqtt://127.0.0.1:1", ["lobby"])
    wrong["mqtt"]["homeassistant"]["classes"] = ["person", "persn"]
    with Daemon(tmp_path, wrong) as daemon:
        assert daemon.wait(WAIT_S) == 2
        assert "mqtt.homeassistant.classes[1]: unknown label `persn`; did you mean `person`?" in daemon.log
