from __future__ import annotations

import re
from itertools import combinations

import pytest

from framelane.sinks.homeassistant.names import Names, escaped, unescaped

IDS = [
    "gate-01",
    "gate",
    "gate_01",
    "gate__01",
    "gate.01",
    "gate_2e01",
    "a",
    "a_",
    "a_5f",
    "a__b",
    "a-",
    "-_-",
]


@pytest.mark.parametrize("name", [*IDS, "traffic light", "Fußgänger", "人", "a/b"])
def test_names_are_escaped_and_come_back(name: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", escaped(name))
    assert unescaped(escaped(name)) == name


def test_plain_ids_are_left_as_they_are() -> None:
    names = Names("homeassistant", "framelane", "gate-01")
    assert (names.device(), names.device("lobby")) == ("framelane__gate-01", "framelane__gate-01__lobby")
    assert names.topic("lobby") == "homeassistant/device/framelane__gate-01__lobby/config"
    assert names.birth == "homeassistant/status"


def test_no_two_devices_share_an_id() -> None:
    devices = [Names("homeassistant", prefix, node).device(stream)
               for prefix in ("framelane", "site/a", "framelane__gate") for node in IDS
               for stream in (None, *IDS)]  # fmt: skip
    assert len(set(devices)) == len(devices)


def test_stream_is_found_in_a_topic_of_the_same_node_alone() -> None:
    for mine, other in combinations(IDS, 2):
        names, others = Names("homeassistant", "framelane", mine), Names("homeassistant", "framelane", other)
        assert names.stream_at(names.topic()) is None
        for stream in IDS:
            assert names.stream_at(names.topic(stream)) == stream
            for topic in (others.topic(), others.topic(stream)):
                with pytest.raises(LookupError):
                    names.stream_at(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "homeassistant/status",
        "homeassistant/device/zigbee2mqtt_0x00/config",
        "homeassistant/sensor/framelane__gate-01/config",
        "other/device/framelane__gate-01/config",
        "homeassistant/device/framelane__gate-01__lobby",
    ],
)
def test_topics_of_others_are_no_streams(topic: str) -> None:
    with pytest.raises(LookupError):
        Names("homeassistant", "framelane", "gate-01").stream_at(topic)
