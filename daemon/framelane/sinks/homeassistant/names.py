"""Names of devices and entities for Home Assistant: stable, unique on a broker, in allowed characters."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NOT_PLAIN = re.compile(rb"[^A-Za-z0-9-]")
_ESCAPE = re.compile(rb"_([0-9a-f]{2})")
# Never occurs within a name, where two digits follow each `_`.
_BETWEEN = "__"


def escaped(name: str) -> str:
    """Escape a name to letters, digits, `-` and `_`.

    Any other byte, and `_`, becomes `_` and two hex digits.
    """
    return _NOT_PLAIN.sub(lambda found: b"_%02x" % found[0][0], name.encode()).decode()


def unescaped(name: str) -> str:
    """Return the original of an escaped name."""
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), name.encode()).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Names:
    """One node's names below a discovery prefix.

    Home Assistant also takes a node's level in discovery topics, but its first release with devices (2024.11)
    never removes one that has it: so the device's id says it all.

    Attributes:
        discovery: the discovery prefix, `homeassistant` by default there and here.
        prefix: of Framelane's own topics.
        node: the node's id.
    """

    discovery: str
    prefix: str
    node: str

    def device(self, stream: str | None = None) -> str:
        """Return the id of a stream's device, or of the node's."""
        levels = [self.prefix, self.node] if stream is None else [self.prefix, self.node, stream]
        return _BETWEEN.join(map(escaped, levels))

    def topic(self, stream: str | None = None) -> str:
        """Return the topic of a device's announcement."""
        return f"{self.discovery}/device/{self.device(stream)}/config"

    def stream_at(self, topic: str) -> str | None:
        """Return which device is announced at a topic: a stream's id, or None for the node.

        Raises:
            LookupError: the topic belongs to no device of this node.
        """
        if topic == self.topic():
            return None
        stem, end = f"{self.discovery}/device/{self.device()}{_BETWEEN}", "/config"
        if not (topic.startswith(stem) and topic.endswith(end)):
            raise LookupError(topic)
        return unescaped(topic[len(stem) : -len(end)])

    @property
    def announcements(self) -> str:
        """The topic filter for all devices' announcements.

        MQTT has no filter for the first half of a level.
        """
        return f"{self.discovery}/device/+/config"

    @property
    def birth(self) -> str:
        """The topic where Home Assistant says that it has started."""
        return f"{self.discovery}/status"
