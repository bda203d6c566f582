"""The MQTT header of a message: topic, quality of service and the properties of MQTT 5."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from framelane.messages.topics import CHANNELS, CONTENT, SNAPSHOTS, topic_of
from framelane.sinks.homeassistant.names import Names

if TYPE_CHECKING:
    from framelane.config.sections.mqtt import MqttConfig
    from framelane.messages.detections import Encoding, Kind, Message

_QOS: dict[Kind, int | None] = {
    "discovery": 1,
    "onvif": 1,
    **{channel.kind: channel.qos for channel in (*CHANNELS, SNAPSHOTS)},
}
_SCHEMAS = {(channel.kind, channel.of_stream): channel.schema for channel in CHANNELS}
# MQTT 5, section 3.3.2.3.4.
_TOPIC_ALIAS = b"\x23"
# Streams times remaining seconds among messages that are replayed at about the same time.
_MOST_EXPIRING = 1024
_MOST = 10_000


class PublishHeader(NamedTuple):
    """Topic, QoS and properties of messages; `frequent` if the topic is worth an alias."""

    topic: str
    qos: int
    frequent: bool
    properties: PackedProperties


class PublishHeaders:
    """Makes one header per topic, once, because packing properties costs more than the rest of a publish."""

    def __init__(self, config: MqttConfig, node: str) -> None:
        self._prefix = config.prefix
        self._node = node
        self._names = Names(config.homeassistant.prefix, config.prefix, node)
        self._qos = {kind: config.qos if qos is None else qos for kind, qos in _QOS.items()}
        self._expiry_s = config.expiry_s
        self._made: dict[tuple[Kind, str | None, Encoding, str], PublishHeader] = {}
        self._expiring = lru_cache(_MOST_EXPIRING)(self._expiring_in)

    def of(self, message: Message, waited_s: float = 0.0) -> PublishHeader:
        """Return a message's header.

        A message that has waited expires that much sooner (MQTT 5, 3.3.2.3.3).
        """
        key = message.kind, message.stream, message.encoding, message.key
        if self._expiry_s and waited_s >= 1.0 and message.kind == "detections":
            left_s = max(self._expiry_s - int(waited_s), 1)
            return self._expiring(message.stream, message.encoding, left_s)
        # The table includes streams that were removed.
        if len(self._made) >= _MOST:
            self._made.clear()
        return self._made.get(key) or self._made.setdefault(key, self._make(*key))

    def of_will(self, message: Message) -> PublishHeader:
        """Return the header of a Last Will."""
        made = self._properties(message.kind, message.stream, message.encoding, PacketTypes.WILLMESSAGE)
        return self.of(message)._replace(properties=PackedProperties(made))

    def _make(self, kind: Kind, stream: str | None, encoding: Encoding, key: str = "") -> PublishHeader:
        properties = PackedProperties(self._properties(kind, stream, encoding, PacketTypes.PUBLISH))
        topic = self._topic(kind, stream, key)
        return PublishHeader(topic, self._qos[kind], kind == "detections", properties)

    def _topic(self, kind: Kind, stream: str | None, key: str) -> str:
        if kind == "discovery":
            return self._names.topic(stream)
        if kind == "onvif":
            return f"{self._prefix}/onvif-ej/{key}"
        return topic_of(f"{self._prefix}/{self._node}", kind, stream, key)

    def _expiring_in(self, stream: str | None, encoding: Encoding, left_s: int) -> PublishHeader:
        properties = self._properties("detections", stream, encoding, PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = left_s
        usual = self._make("detections", stream, encoding)
        return usual._replace(properties=PackedProperties(properties))

    def _properties(self, kind: Kind, stream: str | None, encoding: Encoding, packet: int) -> Properties:
        properties = Properties(packet)  # type: ignore[no-untyped-call] # paho has no types there
        properties.ContentType, properties.PayloadFormatIndicator = CONTENT[encoding]
        # Home Assistant and ONVIF define the format of their messages, and images have no schema.
        schema = _SCHEMAS.get((kind, stream is not None))
        properties.UserProperty = [*([("schema", schema)] if schema else []), ("node", self._node)]
        if kind == "detections" and self._expiry_s:
            properties.MessageExpiryInterval = self._expiry_s
        return properties


class PackedProperties(Properties):
    """Properties that no longer change."""

    def __init__(self, source: Properties) -> None:
        super().__init__(source.packetType)  # type: ignore[no-untyped-call] # paho has no types there
        self._keep(source.pack())  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        """Return the bytes for the wire."""
        packed: bytes = object.__getattribute__(self, "_bytes")
        return packed

    def with_alias(self, alias: int) -> PackedProperties:
        """Return these properties with a topic alias."""
        _, prefix = VariableByteIntegers.decode(self.pack())  # type: ignore[no-untyped-call]
        body = self.pack()[prefix:] + _TOPIC_ALIAS + alias.to_bytes(2, "big")
        made = PackedProperties(self)
        made._keep(VariableByteIntegers.encode(len(body)) + body)  # type: ignore[no-untyped-call]
        return made

    def _keep(self, packed: bytes) -> None:
        # paho's __setattr__ accepts only MQTT's names.
        object.__setattr__(self, "_bytes", packed)
