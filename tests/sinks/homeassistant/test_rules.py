"""Entities of zones and lines: which there are, and what they show for the journal's retained messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.events.examples import line_state, zone_state
from tests.sinks.examples import status
from tests.sinks.homeassistant.examples import LABELS, mqtt, site, stream
from tests.sinks.homeassistant.rules import ENTITY_KEY, faults, rendered

from framelane.messages.events import cleared_message, line_message, zone_message
from framelane.messages.topics import topic_of
from framelane.sinks.homeassistant.announcer import Announcer
from framelane.sinks.homeassistant.devices import stream_device
from framelane.sinks.homeassistant.site import Site

if TYPE_CHECKING:
    from framelane.messages.detections import Message

BASE = "framelane/gate-01"
LINE = {"points": [[0.1, 0.7], [0.9, 0.7]]}
ZONE = {"polygon": [[0, 0], [1, 0], [1, 1]]}
MANY = {"coco": tuple(f"label {number}" for number in range(9))}


def rules(device: dict[str, Any]) -> list[str]:
    return [
        key
        for key, entity in device["cmps"].items()
        if key.startswith(("zone_", "line_")) and len(entity) > 1
    ]


def device(labels: Any = LABELS, homeassistant: Any = None, **options: Any) -> dict[str, Any]:
    return stream_device(site(**(homeassistant or {})), stream(track=True, **options), labels)


def test_zone_has_occupancy_and_count_and_line_has_two_counters_per_label() -> None:
    made = device(
        lines={"street": LINE | {"classes": ["person", "car"]}},
        zones={"yard": ZONE | {"classes": ["person"]}},
    )
    assert faults(made) == []
    assert rules(made) == [
        "zone_occupancy__yard__person",
        "zone_count__yard__person",
        "line_left__street__person",
        "line_right__street__person",
        "line_left__street__car",
        "line_right__street__car",
    ]
    counter = made["cmps"]["line_left__street__car"]
    assert (counter["stat_cla"], counter["name"]) == ("total_increasing", "street car left")
    assert counter["stat_t"] == f"{BASE}/streams/lobby/lines/street/car"
    assert made["cmps"]["zone_count__yard__person"]["stat_cla"] == "measurement"


@pytest.mark.parametrize(
    ("labels", "homeassistant", "options", "rule", "expected"),
    [
        # The rule's own classes, even where Home Assistant's list is shorter.
        (LABELS, {"classes": ["car"]}, {}, ["person"], ["person"]),
        # Those that Home Assistant is to have, or the stream's own.
        (LABELS, {"classes": ["car"]}, {}, None, ["car"]),
        (LABELS, {"classes": []}, {}, None, []),
        (LABELS, {}, {"classes": ["car", "person"]}, None, ["car", "person"]),
        (LABELS, {"classes": ["car", "bicycle"]}, {"classes": ["car"]}, None, ["car"]),
        # Else all of the models, if they are few.
        (LABELS, {}, {"model": ["yolox", "plates"]}, None, ["person", "bicycle", "car", "plate"]),
        (MANY, {}, {"model": "coco"}, None, []),
        (MANY, {}, {"model": "coco"}, ["label 8"], ["label_208"]),
        (LABELS, {}, {}, ["person", "person", "plate"], ["person"]),
    ],
)  # fmt: skip
def test_labels_of_a_rule(
    labels: Any, homeassistant: Any, options: Any, rule: list[str] | None, expected: list[str]
) -> None:
    made = device(labels, homeassistant, zones={"yard": ZONE | {"classes": rule}}, **options)
    counts = [key for key in rules(made) if key.startswith("zone_count")]
    assert counts == [f"zone_count__yard__{label}" for label in expected]


def test_rules_with_odd_names_do_not_collide() -> None:
    labels = {"yolox": ("person", "a/b #+%", "Fußgänger", "b__c", "c")}
    names = ("a", "a.b", "a_b", "a__b", "A")
    made = device(labels, lines=dict.fromkeys(names, LINE), zones={f"z{name}": ZONE for name in names})
    assert faults(made) == []
    assert len(rules(made)) == len(names) * 5 * 4
    assert all(ENTITY_KEY.fullmatch(key) for key in rules(made))
    topics = {made["cmps"][key]["stat_t"] for key in rules(made)}
    assert len(topics) == len(names) * 5 * 2
    assert f"{BASE}/streams/lobby/lines/a.b/a%2Fb %23%2B%25" in topics
    assert not any(set("+#") & set(topic) for topic in topics)


def shown(made: dict[str, Any], key: str, message: Message) -> tuple[str, str]:
    """State and availability of an entity, after the node's and the rule's message."""
    entity = made["cmps"][key]
    assert message.stream is not None
    topic = topic_of(BASE, message.kind, message.stream, message.key)
    assert entity["stat_t"] == topic
    payloads = {f"{BASE}/status": status("online").payload, topic: message.payload}
    verdicts = [rendered(row["val_tpl"], payloads[row["t"]]) for row in entity["avty"]]
    available = "online" if verdicts == ["online", "online"] else "offline"
    state = rendered(entity["val_tpl"], message.payload) if available == "online" else ""
    return state, available


@pytest.mark.parametrize(
    ("key", "message", "expected"),
    [
        ("zone_count__yard__person", zone_message("gate-01", zone_state()), ("2", "online")),
        ("zone_occupancy__yard__person", zone_message("gate-01", zone_state()), ("ON", "online")),
        ("zone_count__yard__person", zone_message("gate-01", zone_state(count=0)), ("0", "online")),
        ("zone_occupancy__yard__person", zone_message("gate-01", zone_state(count=0)), ("OFF", "online")),
        ("zone_count__yard__person", zone_message("gate-01", zone_state(count=None)), ("", "offline")),
        ("zone_occupancy__yard__person", zone_message("gate-01", zone_state(count=None)), ("", "offline")),
        ("line_left__street__person", line_message("gate-01", line_state()), ("42", "online")),
        ("line_right__street__person", line_message("gate-01", line_state()), ("7", "online")),
        (
            "line_left__street__person",
            line_message("gate-01", line_state(left=None, right=None, epoch=None)),
            ("", "offline"),
        ),
        (
            "line_left__street__person",
            cleared_message("lines", "lobby", "street/person"),
            ("", "offline"),
        ),
        (
            "zone_occupancy__yard__person",
            cleared_message("zones", "lobby", "yard/person"),
            ("", "offline"),
        ),
    ],
)
def test_entities_show_what_is_retained_and_are_unavailable_while_it_is_unknown(
    key: str, message: Message, expected: tuple[str, str]
) -> None:
    made = device(lines={"street": LINE}, zones={"yard": ZONE})
    assert shown(made, key, message) == expected


def test_rules_need_no_json_detections() -> None:
    """Zones and lines are always JSON, whatever `mqtt.payload` is."""
    packed = Site.of("gate-01", mqtt().model_copy(update={"payload": "msgpack"}))
    made = stream_device(packed, stream(track=True, zones={"yard": ZONE}), LABELS)
    assert len(rules(made)) == 6
    assert "count" not in made["cmps"]


def test_entities_go_with_their_rule() -> None:
    offered: list[Message] = []
    announcer = Announcer(site(), offered.append)
    both: dict[str, Any] = {"lines": {"street": LINE, "gate": LINE}, "classes": ["person"], "track": True}
    announcer.announce([stream(**both)], LABELS, [])
    announcer.announce([stream(**both | {"lines": {"gate": LINE}})], LABELS, [])
    entities = orjson.loads(offered[-1].payload)["cmps"]
    assert entities["line_left__street__person"] == {"p": "sensor"}
    assert len(entities["line_left__gate__person"]) > 1
