from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import orjson
import pytest
from tests.events.examples import event, line_state, zone_state
from tests.sinks.examples import ORIGIN, detections, node_stats, state, status

from framelane.config.sections.mqtt import MqttConfig
from framelane.messages import schemas
from framelane.messages.asyncapi import asyncapi
from framelane.messages.events import cleared_message, event_message, line_message, zone_message
from framelane.messages.reports import node_stats_message, removed_message, stats_message
from framelane.messages.snapshots import snapshot_message
from framelane.messages.topics import CHANNELS
from framelane.sinks.mqtt.publish_headers import PublishHeaders

if TYPE_CHECKING:
    from framelane.messages.detections import Message

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
    "event": event_message("gate-01", event(), None),
    "zone": zone_message("gate-01", zone_state()),
    "zone-removed": cleared_message("zones", "lobby", "yard/person"),
    "line": line_message("gate-01", line_state()),
    "line-removed": cleared_message("lines", "lobby", "street/person"),
    "snapshot-jpeg": snapshot_message("lobby", "person", b"\xff\xd8", retain=True),
    "snapshot-removed": snapshot_message("lobby", "person", b"", retain=True),
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
    """`framelane schema asyncapi > daemon/framelane/messages/schemas/asyncapi.json` writes it."""
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
    envelope = PublishHeaders(MqttConfig(url="mqtt://127.0.0.1"), "gate-01").of(message)
    (key,) = [key for key, channel in DOCUMENT["channels"].items() if name in channel["messages"]]
    channel, operation = DOCUMENT["channels"][key], DOCUMENT["operations"][f"send-{key}"]
    told = DOCUMENT["components"]["messages"][name]

    values = {"prefix": "framelane", "node": "gate-01", "stream": message.stream}
    values |= {"zone": "yard", "line": "street", "label": "person"}
    assert channel["address"].format(**values) == envelope.topic
    assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])
    binding = operation["bindings"]["mqtt"]
    assert (binding["qos"], binding["retain"]) == (envelope.qos, message.retain)
    packed = envelope.properties.pack()
    assert told["contentType"].encode() in packed
    assert b"\x01" + bytes([told["bindings"]["mqtt"]["payloadFormatIndicator"]]) in packed
    schema = told["headers"]["properties"].get("schema")
    assert (schema is None) == (message.kind == "snapshots")
    assert schema is None or schema["const"].encode() in packed
    if message.encoding == "jpeg" and message.payload:
        assert told["payload"]["format"] == "binary"
    elif message.payload:
        assert found(told["payload"]["$ref"])["properties"]["schema"]["const"] == told["name"]
    else:
        assert told["payload"] == {"type": "string", "maxLength": 0}


def test_last_will_is_told_as_it_is() -> None:
    envelope = PublishHeaders(MqttConfig(url="mqtt://127.0.0.1"), "gate-01").of_will(
        status("offline", "lost")
    )
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
