"""The topics of one connection's messages: topic aliases, properties and packet sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties

    from framelane.sinks.mqtt.publish_headers import PublishHeader

# Entries are made again when needed.
_MOST = 4096
_IDENTIFIER_BYTES = 2
# A packet's length below these takes one, two or three bytes (MQTT 5, section 1.5.5).
_ONE_BYTE, _TWO_BYTES, _THREE_BYTES = 1 << 7, 1 << 14, 1 << 21


class AliasedTopic(NamedTuple):
    """A topic and its properties in the form in which they are sent.

    Attributes:
        topic: UTF-8; empty if the broker knows its alias.
        properties: of MQTT 5; None in 3.1.1.
        alias: the topic alias; 0 for none.
        extra: bytes of topic, properties and packet identifier.
    """

    topic: bytes
    properties: Properties | None
    alias: int
    extra: int

    def packet_bytes(self, payload: int) -> int:
        """Return the size of a whole packet with a payload of this size and QoS 1 or 2."""
        remaining = payload + self.extra
        if _ONE_BYTE <= remaining < _TWO_BYTES:
            return remaining + 3
        return remaining + (2 if remaining < _ONE_BYTE else 4 if remaining < _THREE_BYTES else 5)


class TopicAliases:
    """The topic aliases of one connection. The first message of a topic tells the broker its alias.

    A frequent topic gets an alias while the broker allows more.

    Args:
        mqtt5: whether there are properties.
        most_aliases: how many aliases the broker allows.
    """

    def __init__(self, *, mqtt5: bool, most_aliases: int = 0) -> None:
        self._mqtt5 = mqtt5
        self._most_aliases = most_aliases
        self._aliases: dict[str, int] = {}
        self.known: dict[PublishHeader, AliasedTopic] = {}
        """How the next message with each used header is sent."""

    def of(self, header: PublishHeader) -> AliasedTopic:
        """Return how the next message with a header is sent."""
        aliased = self.known.get(header)
        if aliased is not None:
            return aliased
        alias = self._aliases.get(header.topic)
        if alias is not None:
            return self._aliased(header, alias, named=False)
        if header.frequent and len(self._aliases) < self._most_aliases:
            return self._aliased(header, len(self._aliases) + 1)
        return self.without_alias(header)

    def without_alias(self, header: PublishHeader) -> AliasedTopic:
        """Return the form without an alias, which is a few bytes shorter than a first one with an alias."""
        return self._aliased(header)

    def used(self, header: PublishHeader, aliased: AliasedTopic) -> None:
        """Note that a message was sent like this, so the broker knows the alias now."""
        if len(self.known) >= _MOST:
            self.known.clear()
        if aliased.alias:
            self._aliases[header.topic] = aliased.alias
            aliased = self._aliased(header, aliased.alias, named=False)
        self.known[header] = aliased

    def _aliased(self, header: PublishHeader, alias: int = 0, *, named: bool = True) -> AliasedTopic:
        topic = header.topic.encode() if named else b""
        extra = 2 + len(topic) + _IDENTIFIER_BYTES
        if not self._mqtt5:
            return AliasedTopic(topic, None, 0, extra)
        properties = header.properties.with_alias(alias) if alias else header.properties
        return AliasedTopic(topic, properties, alias, extra + len(properties.pack()))
