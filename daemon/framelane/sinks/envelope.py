"""What MQTT wants beside a payload: topic, quality of service and the properties of MQTT 5."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from framelane.sinks.homeassistant.names import Names

if TYPE_CHECKING:
    from framelane.config.schema import MqttConfig
    from framelane.sinks.message import Kind, Message

# Retained topics must be right, or a consumer waits for ever; lost statistics are replaced by the next.
_QOS: dict[Kind, int] = {"status": 1, "state": 1, "stats": 0, "discovery": 1}
_SCHEMAS: dict[tuple[Kind, bool], str] = {
    ("status", False): "framelane.status/1",
    ("state", True): "framelane.state/1",
    ("stats", True): "framelane.stats/1",
    ("stats", False): "framelane.node-stats/1",
    ("detections", True): "framelane.detections/1",
}

_MOST_EXPIRING = 1024  # streams times seconds left that are replayed at about the same time


def topic_of(base: str, kind: str, stream: str | None) -> str:
    """The topic of a kind of message below `<prefix>/<node>`, of a stream or of the node."""
    return f"{base}/{kind}" if stream is None else f"{base}/streams/{stream}/{kind}"


class Envelope(NamedTuple):
    """Where a message goes, and how."""

    topic: str
    qos: int
    properties: Properties


class Envelopes:
    """One envelope for each topic, made once: packing properties costs more than the rest of a publish."""

    def __init__(self, config: MqttConfig, node: str) -> None:
        self._base = f"{config.prefix}/{node}"
        self._node = node
        self._names = Names(config.homeassistant.prefix, config.prefix, node)
        self._qos = {**_QOS, "detections": config.qos}
        self._expiry_s = config.expiry_s
        self._made: dict[tuple[Kind, str | None], Envelope] = {}
        self._expiring = lru_cache(_MOST_EXPIRING)(self._expiring_in)

    def of(self, message: Message, waited_s: float = 0.0) -> Envelope:
        """The message's envelope; what has waited expires that much sooner (MQTT 5, 3.3.2.3.3)."""
        key = message.kind, message.stream
        if self._expiry_s and waited_s >= 1.0 and message.kind == "detections":
            left_s = max(self._expiry_s - int(waited_s), 1)
            return self.of(message)._replace(properties=self._expiring(message.stream, left_s))
        return self._made.get(key) or self._made.setdefault(key, self._make(*key))

    def of_will(self, message: Message) -> Envelope:
        """The same for a Last Will, whose properties are packed for another kind of packet."""
        properties = self._properties(message.kind, message.stream, PacketTypes.WILLMESSAGE)
        return self.of(message)._replace(properties=properties)

    def _make(self, kind: Kind, stream: str | None) -> Envelope:
        topic = self._names.topic(stream) if kind == "discovery" else topic_of(self._base, kind, stream)
        return Envelope(topic, self._qos[kind], _Packed(self._properties(kind, stream, PacketTypes.PUBLISH)))

    def _expiring_in(self, stream: str | None, left_s: int) -> Properties:
        properties = self._properties("detections", stream, PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = left_s
        return _Packed(properties)

    def _properties(self, kind: Kind, stream: str | None, packet: int) -> Properties:
        properties = Properties(packet)  # type: ignore[no-untyped-call] # paho has no types there
        properties.ContentType = "application/json"
        properties.PayloadFormatIndicator = 1
        schema = _SCHEMAS.get((kind, stream is not None))  # discovery is Home Assistant's format
        properties.UserProperty = [*([("schema", schema)] if schema else []), ("node", self._node)]
        if kind == "detections" and self._expiry_s:
            properties.MessageExpiryInterval = self._expiry_s
        return properties


class _Packed(Properties):
    """Properties that don't change any more."""

    def __init__(self, source: Properties) -> None:
        super().__init__(source.packetType)  # type: ignore[no-untyped-call] # paho has no types there
        packed = source.pack()  # type: ignore[no-untyped-call] # paho has no types there
        object.__setattr__(self, "_bytes", packed)  # its own __setattr__ takes only MQTT's names

    def pack(self) -> bytes:
        """The bytes on the wire."""
        packed: bytes = object.__getattribute__(self, "_bytes")
        return packed
