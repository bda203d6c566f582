"""Where and how one node announces its devices to Home Assistant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.messages.topics import topic_of
from framelane.sinks.homeassistant import templates
from framelane.sinks.homeassistant.entities import Entity, availability
from framelane.sinks.homeassistant.names import Names

if TYPE_CHECKING:
    from framelane.config.sections.mqtt import MqttConfig


@dataclass(frozen=True, slots=True)
class Site:
    """Where and how one node announces its devices.

    Attributes:
        names: of the devices.
        mqtt: the `mqtt` section.
    """

    names: Names
    mqtt: MqttConfig

    @staticmethod
    def of(node: str, mqtt: MqttConfig) -> Site:
        """Return the site of a node."""
        return Site(Names(mqtt.homeassistant.prefix, mqtt.prefix, node), mqtt)

    def topic(self, kind: str, stream: str | None = None, key: str = "") -> str:
        """Return the topic of a kind of message."""
        return topic_of(f"{self.mqtt.prefix}/{self.names.node}", kind, stream, key)

    @property
    def node_available(self) -> Entity:
        """Availability of the node, on which everything else depends."""
        return availability(self.topic("status"), templates.NODE_AVAILABLE)
