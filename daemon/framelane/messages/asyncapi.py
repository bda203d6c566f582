"""The AsyncAPI document of all topics, built from the publisher's table and the messages' JSON Schemas.

Encoders are tested against the same schemas. See https://www.asyncapi.com/docs/reference/specification/v3.0.0
and the MQTT bindings, version 0.2.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framelane import __version__
from framelane.config.sections.mqtt import MqttConfig
from framelane.messages import schemas
from framelane.messages.topics import CHANNELS, CONTENT, SNAPSHOTS, topic_of

if TYPE_CHECKING:
    from framelane.messages.detections import Encoding
    from framelane.messages.topics import Topic

_BASE = "{prefix}/{node}"
_BINDING = "0.2.0"
# What an empty message says.
_REMOVED = {
    "state": ("Stream removed", "the stream was removed"),
    "zone": ("Zone removed", "the zone, the label's part in it or the stream is gone"),
    "line": ("Line removed", "the line, the label's part in it or the stream is gone"),
    "snapshot": ("Snapshot removed", "the stream is gone, or makes no snapshots any more"),
}
_TOPICS = (*CHANNELS, SNAPSHOTS)
_IMAGE = {
    "type": "string",
    "format": "binary",
    "description": "A JPEG image; its comment says what it shows.",
}
_PARAMETERS = {
    "prefix": {"description": "First levels of every topic: `mqtt.prefix`.", "default": "framelane"},
    "node": {
        "description": "Id of the node: `node.id`.",
        "examples": ["gate-01"],
        "location": "$message.payload#/node",
    },
    "stream": {
        "description": "Id of the stream: `streams[].id`.",
        "examples": ["lobby"],
        "location": "$message.payload#/stream",
    },
    "zone": {
        "description": "Name of the zone: a key of `streams[].zones`.",
        "examples": ["yard"],
        "location": "$message.payload#/zone",
    },
    "line": {
        "description": "Name of the line: a key of `streams[].lines`.",
        "examples": ["street"],
        "location": "$message.payload#/line",
    },
    "label": {
        "description": "Label of the objects; `/`, `+`, `#`, `%` and control characters are percent-encoded.",
        "examples": ["person"],
    },
}


def asyncapi() -> dict[str, Any]:
    """Return the document as JSON values; settings have their defaults."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:framelane:mqtt:1",
        "info": {
            "title": "Framelane",
            "version": __version__,
            "description": "What a node publishes over MQTT. A version (`/1`) of a message only ever gains keys: "
            "ignore keys you don't know. docs/mqtt.md explains order, gaps, restarts and duplicates.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server("mqtt", "1883"), "secureBroker": _server("secure-mqtt", "8883")},
        "channels": {channel.name: _channel(channel) for channel in _TOPICS},
        "operations": {f"send-{channel.name}": _operation(channel) for channel in _TOPICS},
        "components": {
            "parameters": _PARAMETERS,
            "messages": {
                _message_name(channel, encoding): _message(channel, encoding)
                for channel in _TOPICS
                for encoding in channel.encodings
            }
            | {_removed_name(channel): _removed(channel) for channel in _TOPICS if channel.clearable},
            "schemas": {channel.name: _schema(channel) for channel in CHANNELS},
        },
    }


def _server(protocol: str, port: str) -> dict[str, Any]:
    defaults = MqttConfig.model_fields
    return {
        "host": "{host}:{port}",
        "protocol": protocol,
        "protocolVersion": "5.0",
        "description": "The broker at `mqtt.url`; `mqtt.protocol` may set MQTT 3.1.1.",
        "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": port}},
        "bindings": {
            "mqtt": {
                "clientId": "{prefix}-{node}",
                "cleanSession": True,
                "sessionExpiryInterval": 0,
                "keepAlive": defaults["keepalive_s"].default,
                "lastWill": {
                    "topic": topic_of(_BASE, "status", None),
                    "qos": 1,
                    "retain": True,
                    "message": "framelane.status/1 with state `offline` and reason `lost`",
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _channel(channel: Topic) -> dict[str, Any]:
    names = ("prefix", "node", *(("stream",) if channel.of_stream else ()), *channel.levels)
    key = "/".join(f"{{{level}}}" for level in channel.levels)
    return {
        "address": topic_of(_BASE, channel.kind, "{stream}" if channel.of_stream else None, key),
        "title": _title(channel),
        "description": channel.when,
        "parameters": {name: _ref("components", "parameters", name) for name in names},
        "messages": {name: _ref("components", "messages", name) for name in _message_names(channel)},
    }


def _operation(channel: Topic) -> dict[str, Any]:
    defaults = MqttConfig.model_fields
    binding: dict[str, Any] = {
        "qos": defaults["qos"].default if channel.qos is None else channel.qos,
        "retain": channel.retain,
        "bindingVersion": _BINDING,
    }
    if channel.kind == "detections":
        binding["messageExpiryInterval"] = {
            "type": "integer",
            "minimum": 1,
            "description": "From `mqtt.expiry_s`, less the time that the message waited; by default there is none.",
        }
    return {
        "action": "send",
        "channel": _ref("channels", channel.name),
        "summary": channel.when,
        "messages": [_ref("channels", channel.name, "messages", name) for name in _message_names(channel)],
        "bindings": {"mqtt": binding},
    }


def _message(channel: Topic, encoding: Encoding) -> dict[str, Any]:
    content_type, payload_format = CONTENT[encoding]
    node = {"node": {"type": "string", "minLength": 1}}
    has_schema = channel in CHANNELS
    return {
        "name": channel.schema,
        "title": _title(channel),
        "contentType": content_type,
        "headers": {
            "type": "object",
            "description": "User properties of MQTT 5.",
            "properties": {"schema": {"const": channel.schema}, **node} if has_schema else node,
        },
        "payload": _ref("components", "schemas", channel.name) if has_schema else _IMAGE,
        "bindings": {"mqtt": {"payloadFormatIndicator": payload_format, "bindingVersion": _BINDING}},
    }


def _removed(channel: Topic) -> dict[str, Any]:
    """Return the empty message that deletes a retained one."""
    title, why = _REMOVED[channel.name]
    return _message(channel, channel.encodings[0]) | {
        "name": _removed_name(channel),
        "title": title,
        "summary": f"Empty payload: {why}. It deletes the retained message.",
        "payload": {"type": "string", "maxLength": 0},
    }


def _title(channel: Topic) -> str:
    return str(schemas.load(channel.name)["title"]) if channel in CHANNELS else channel.name.capitalize()


def _schema(channel: Topic) -> dict[str, Any]:
    """Return a schema without its dialect: it uses only what AsyncAPI's superset of draft 07 knows."""
    schema = schemas.load(channel.name)
    return {key: value for key, value in schema.items() if key not in ("$schema", "$id")}


def _message_names(channel: Topic) -> list[str]:
    names = [_message_name(channel, encoding) for encoding in channel.encodings]
    return [*names, _removed_name(channel)] if channel.clearable else names


def _removed_name(channel: Topic) -> str:
    return f"{channel.name}-removed"


def _message_name(channel: Topic, encoding: Encoding) -> str:
    return channel.name if encoding == "json" else f"{channel.name}-{encoding}"


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "/".join(("#", *path))}
