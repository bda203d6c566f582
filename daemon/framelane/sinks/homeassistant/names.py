"""What devices and entities are called towards Home Assistant: stable, unique on a broker, in letters it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NOT_PLAIN = re.compile(rb"[^A-Za-z0-9-]")
_ESCAPE = re.compile(rb"_([0-9a-f]{2})")
_BETWEEN = "__"  # never within a name: there two digits follow each `_`


def escaped(name: str) -> str:
    """A name in letters, digits, `-` and `_`: every other byte, `_` too, becomes `_` and two hexadecimal digits."""
    return _NOT_PLAIN.sub(lambda found: b"_%02x" % found[0][0], name.encode()).decode()


def unescaped(name: str) -> str:
    """What `escaped` was given."""
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), name.encode()).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Names:
    """One node's names below a discovery prefix.

    Home Assistant also takes a node's level in discovery topics, but its first release with devices (2024.11) never
    removes one that has it: so the device's id says it all.

    Attributes:
        discovery: the discovery prefix, `homeassistant` by default there and here.
        prefix: of Framelane's own topics.
        node: the node's id.
    """

    discovery: str
    prefix: str
    node: str

    def device(self, stream: str | None = None) -> str:
        """The id of a stream's device, or of the node's."""
        levels = [self.prefix, self.node] if stream is None else [self.prefix, self.node, stream]
        return _BETWEEN.join(map(escaped, levels))

    def topic(self, stream: str | None = None) -> str:
        """Where that device is announced."""
        return f"{self.discovery}/device/{self.device(stream)}/config"

    def stream_at(self, topic: str) -> str | None:
        """Whose device is announced at a topic: a stream's, or the node's (None).

        Raises:
            LookupError: no device of this node.
        """
        if topic == self.topic():
            return None
        stem, end = f"{self.discovery}/device/{self.device()}{_BETWEEN}", "/config"
        if not (topic.startswith(stem) and topic.endswith(end)):
            raise LookupError(topic)
        return unescaped(topic[len(stem) : -len(end)])

    @property
    def announcements(self) -> str:
        """The topic filter of all devices' announcements: MQTT has no filter for the first half of a level."""
        return f"{self.discovery}/device/+/config"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery}/status"
