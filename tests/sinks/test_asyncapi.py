from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import orjson
import pytest
from tests.sinks.examples import ORIGIN, detections, node_stats, state, status

from framelane.config.schema import MqttConfig
from framelane.sinks import schemas
from framelane.sinks.asyncapi import asyncapi
from framelane.sinks.channels import CHANNELS
from framelane.sinks.envelope import Envelopes
from framelane.sinks.reports import node_stats_message, removed_message, stats_message

if TYPE_CHECKING:
    from framelane.sinks.message import Message

ROOT = Path(__file__).parents[2]
# scripts/install_test_neighbours.sh puts it there, where npm is
OFFICIAL = ROOT / ".venv/asyncapi/node_modules/@asyncapi/specs/schemas/3.0.0.json"
DOCUMENT = asyncapi()
MESSAGES = {
    "status": status(),
    "state": state(),
    "state-removed": removed_message("lobby"),
    "detections": detections(1),
    "detections-msgpack": detections(1, encoding="msgpack"),
    "stats": stats_message(ORIGIN, node_stats().streams[0], 0.0),
    "node-stats": node_stats_message(ORIGIN, node_stats(), [], 0.0),
}


def found(reference: str) -> Any:
    value: Any = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        value = value[key]
    return value


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [reference for each in value for reference in references(each)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + references(list(value.values()))


def test_shipped_document_is_the_one_made_now() -> None:
    """`framelane schema asyncapi > daemon/framelane/sinks/schemas/asyncapi.json` makes it anew."""
    assert orjson.loads(orjson.dumps(DOCUMENT)) == schemas.load("asyncapi")


def test_every_reference_leads_somewhere() -> None:
    assert len(references(DOCUMENT)) > 30
    for reference in references(DOCUMENT):
        found(reference)


def test_every_channel_and_schema_is_in_it() -> None:
    assert set(DOCUMENT["components"]["schemas"]) == set(schemas.NAMES) == {each.name for each in CHANNELS}
    assert set(DOCUMENT["components"]["messages"]) == set(MESSAGES)
    named = {name for channel in DOCUMENT["channels"].values() for name in channel["messages"]}
    assert named == set(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_document_tells_what_the_publisher_does(name: str) -> None:
    message: Message = MESSAGES[name]
    envelope = Envelopes(MqttConfig(url="mqtt://127.0.0.1"), "gate-01").of(message)
    (key,) = [key for key, channel in DOCUMENT["channels"].items() if name in channel["messages"]]
    channel, operation = DOCUMENT["channels"][key], DOCUMENT["operations"][f"send-{key}"]
    told = DOCUMENT["components"]["messages"][name]

    values = {"prefix": "framelane", "node": "gate-01", "stream": message.stream}
    assert channel["address"].format(**values) == envelope.topic
    assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])
    binding = operation["bindings"]["mqtt"]
    assert (binding["qos"], binding["retain"]) == (envelope.qos, message.retain)
    packed = envelope.properties.pack()
    assert told["contentType"].encode() in packed
    assert b"\x01" + bytes([told["bindings"]["mqtt"]["payloadFormatIndicator"]]) in packed
    assert told["headers"]["properties"]["schema"]["const"].encode() in packed
    if message.payload:
        assert found(told["payload"]["$ref"])["properties"]["schema"]["const"] == told["name"]
    else:
        assert told["payload"] == {"type": "string", "maxLength": 0}


def test_last_will_is_told_as_it_is() -> None:
    envelope = Envelopes(MqttConfig(url="mqtt://127.0.0.1"), "gate-01").of_will(status("offline", "lost"))
    for server in DOCUMENT["servers"].values():
        will = server["bindings"]["mqtt"]["lastWill"]
        assert will["topic"].format(prefix="framelane", node="gate-01") == envelope.topic
        assert (will["qos"], will["retain"]) == (envelope.qos, status().retain)


def test_document_is_valid_by_the_official_schema() -> None:
    if not OFFICIAL.exists():
        pytest.skip("AsyncAPI's JSON Schema is not installed: scripts/install_test_neighbours.sh, with npm")
    official = jsonschema.Draft7Validator(orjson.loads(OFFICIAL.read_bytes()))
    document = schemas.load("asyncapi")
    official.validate(document)
    document["operations"]["send-status"]["bindings"]["mqtt"]["qos"] = 3
    assert not official.is_valid(document)
