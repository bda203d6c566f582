"""The table of topics."""

from __future__ import annotations

import pytest

from framelane.messages import schemas
from framelane.messages.topics import CHANNELS, key_of, topic_of


@pytest.mark.parametrize(
    ("stream", "expected"),
    [(None, "framelane/gate-01/status"), ("lobby", "framelane/gate-01/streams/lobby/status")],
)
def test_topic_of_puts_streams_below_their_own_level(stream: str | None, expected: str) -> None:
    assert expected == topic_of("framelane/gate-01", "status", stream)


def test_every_channel_has_a_schema_that_names_it() -> None:
    named = {channel.name: channel.schema for channel in CHANNELS}
    assert named == {name: schemas.load(name)["properties"]["schema"]["const"] for name in named}


def test_no_two_channels_share_a_topic() -> None:
    topics = [topic_of("f", channel.kind, "s" if channel.of_stream else None) for channel in CHANNELS]
    assert len(topics) == len(set(topics)) == 8


def test_only_detections_may_be_messagepack() -> None:
    assert {channel.name for channel in CHANNELS if "msgpack" in channel.encodings} == {"detections"}


def test_retained_channels_are_delivered_at_least_once() -> None:
    assert {channel.name: channel.qos for channel in CHANNELS if channel.retain} == {
        "status": 1,
        "state": 1,
        "zone": 1,
        "line": 1,
    }


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("person", "yard/person"),
        ("traffic light", "yard/traffic light"),
        ("a/b+c#d%e", "yard/a%2Fb%2Bc%23d%25e"),
        ("tab\tnul\x00", "yard/tab%09nul%00"),
        ("größe", "yard/größe"),
    ],
)
def test_key_encodes_what_mqtt_reserves(label: str, expected: str) -> None:
    assert key_of("yard", label) == expected
    assert topic_of("f/n", "zones", "gate", expected) == f"f/n/streams/gate/zones/{expected}"
