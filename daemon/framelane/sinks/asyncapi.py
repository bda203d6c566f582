"""The AsyncAPI document of all topics, made of the table the publisher uses and of the messages' JSON Schemas.

Encoders are tested against the same schemas. See https://www.asyncapi.com/docs/reference/specification/v3.0.0 and
the MQTT bindings, version 0.2.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framelane import __version__
from framelane.config.schema import MqttConfig
from framelane.sinks import schemas
from framelane.sinks.channels import CHANNELS, CONTENT, topic_of

if TYPE_CHECKING:
    from framelane.sinks.channels import Channel
    from framelane.sinks.message import Encoding

_BASE = "{prefix}/{node}"
_BINDING = "0.2.0"
_REMOVED = "state-removed"
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
}


def asyncapi() -> dict[str, Any]:
    """The document, as JSON values; settings stand with their defaults."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:framelane:mqtt:1",
        "info": {
            "title": "Framelane",
            "version": __version__,
            "description": "What a node publishes over MQTT. Within a version (`/1`) of a message keys are only added: "
            "ignore keys you don't know. docs/mqtt.md tells of order, gaps, restarts and duplicates.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server("mqtt", "1883"), "secureBroker": _server("secure-mqtt", "8883")},
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": {f"send-{channel.name}": _operation(channel) for channel in CHANNELS},
        "components": {
            "parameters": _PARAMETERS,
            "messages": {
                _message_name(channel, encoding): _message(channel, encoding)
                for channel in CHANNELS
                for encoding in channel.encodings
            }
            | {_REMOVED: _removed(next(each for each in CHANNELS if each.kind == "state"))},
            "schemas": {channel.name: _schema(channel) for channel in CHANNELS},
        },
    }


def _server(protocol: str, port: str) -> dict[str, Any]:
    defaults = MqttConfig.model_fields
    return {
        "host": "{host}:{port}",
        "protocol": protocol,
        "protocolVersion": "5.0",
        "description": "The broker of `mqtt.url`; MQTT 3.1.1 is a setting.",
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


def _channel(channel: Channel) -> dict[str, Any]:
    names = ("prefix", "node", "stream") if channel.of_stream else ("prefix", "node")
    return {
        "address": topic_of(_BASE, channel.kind, "{stream}" if channel.of_stream else None),
        "title": schemas.load(channel.name)["title"],
        "description": channel.when,
        "parameters": {name: _ref("components", "parameters", name) for name in names},
        "messages": {name: _ref("components", "messages", name) for name in _message_names(channel)},
    }


def _operation(channel: Channel) -> dict[str, Any]:
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
            "description": "Of `mqtt.expiry_s`, less what the message has waited; by default there is none.",
        }
    return {
        "action": "send",
        "channel": _ref("channels", channel.name),
        "summary": channel.when,
        "messages": [_ref("channels", channel.name, "messages", name) for name in _message_names(channel)],
        "bindings": {"mqtt": binding},
    }


def _message(channel: Channel, encoding: Encoding) -> dict[str, Any]:
    content_type, payload_format = CONTENT[encoding]
    return {
        "name": channel.schema,
        "title": schemas.load(channel.name)["title"],
        "contentType": content_type,
        "headers": {
            "type": "object",
            "description": "User properties of MQTT 5.",
            "properties": {"schema": {"const": channel.schema}, "node": {"type": "string", "minLength": 1}},
        },
        "payload": _ref("components", "schemas", channel.name),
        "bindings": {"mqtt": {"payloadFormatIndicator": payload_format, "bindingVersion": _BINDING}},
    }


def _removed(channel: Channel) -> dict[str, Any]:
    """A state message without a state."""
    return _message(channel, "json") | {
        "name": _REMOVED,
        "title": "A stream is gone",
        "summary": "Empty: the stream is no longer there. It takes the retained state away.",
        "payload": {"type": "string", "maxLength": 0},
    }


def _schema(channel: Channel) -> dict[str, Any]:
    """Without its dialect: the schemas use nothing that AsyncAPI's own, a superset of draft 07, does not know."""
    schema = schemas.load(channel.name)
    return {key: value for key, value in schema.items() if key not in ("$schema", "$id")}


def _message_names(channel: Channel) -> list[str]:
    names = [_message_name(channel, encoding) for encoding in channel.encodings]
    return [*names, _REMOVED] if channel.kind == "state" else names


def _message_name(channel: Channel, encoding: Encoding) -> str:
    return channel.name if encoding == "json" else f"{channel.name}-{encoding}"


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "/".join(("#", *path))}
