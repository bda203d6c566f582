"""Counters in ONVIF's words, and what is done with messages that are none of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.events.examples import line_state, zone_state
from tests.sinks.examples import detections, state, status

from framelane.messages.events import cleared_message, line_message, zone_message
from framelane.messages.onvif.payloads import COUNTER, INSIDE, LOITERING
from framelane.messages.onvif.properties import with_properties

if TYPE_CHECKING:
    from framelane.messages.detections import Message

LEFT, RIGHT = (f"{COUNTER}/&lobby/gate-01/street:{side}:person" for side in ("left", "right"))


def followed(*messages: Message) -> dict[str, Any]:
    """What the broker retains after these messages, by the end of its topic; None for what is deleted."""
    published: list[Message] = []
    publish = with_properties(published.append, "gate-01")
    for message in messages:
        publish(message)
    made = [message for message in published if message.kind == "onvif"]
    assert [message for message in published if message.kind != "onvif"] == list(messages)
    assert all((message.stream, message.retain) == ("lobby", True) for message in made)
    return {message.key: orjson.loads(message.payload) if message.payload else None for message in made}


def test_counters_are_one_property_per_direction_and_label() -> None:
    found = followed(line_message("gate-01", line_state()))
    assert {topic: body["Data"] for topic, body in found.items()} == {
        LEFT: {"Count": 42},
        RIGHT: {"Count": 7},
    }
    assert (found[LEFT]["UtcTime"], found[LEFT]["Source"]) == (
        "2026-11-22T09:00:00.123456Z",
        {"VideoSource": "lobby", "AnalyticsConfiguration": "gate-01", "Rule": "street:left:person"},
    )


@pytest.mark.parametrize(
    "message",
    [
        line_message("gate-01", line_state(left=None, right=None, epoch=None)),
        cleared_message("lines", "lobby", "street/person"),
    ],
)
def test_counters_that_are_unknown_or_gone_are_deleted(message: Message) -> None:
    assert followed(line_message("gate-01", line_state()), message) == {LEFT: None, RIGHT: None}
    assert followed(message) == {LEFT: None, RIGHT: None}, "those of the run before, too"


def test_labels_of_cleared_topics_are_decoded() -> None:
    odd = line_state(label="50 % +x")
    said = followed(line_message("gate-01", odd))
    gone = followed(replace(line_message("gate-01", odd), payload=b""))
    assert said.keys() == gone.keys()


def test_zone_is_deleted_when_its_last_label_is_cleared() -> None:
    messages = [zone_message("gate-01", zone_state(label=label)) for label in ("person", "car")]
    cleared = [replace(message, payload=b"") for message in messages]
    inside, loitering = (f"{topic}/&lobby/gate-01/yard" for topic in (INSIDE, LOITERING))
    assert followed(*messages, cleared[0])[inside]["Data"] == {"IsInside": True}
    assert followed(*messages, *cleared) == {inside: None, loitering: None}
    assert followed(*messages, *cleared, messages[1])[inside]["Data"] == {"IsInside": True}
    assert followed(cleared[0]) == {inside: None, loitering: None}


def test_other_messages_say_nothing_of_rules() -> None:
    assert followed(detections(1), state("live"), status("online")) == {}
