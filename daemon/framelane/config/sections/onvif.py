"""The `onvif` section."""

from __future__ import annotations

from pydantic import Field

from framelane.config.sections.section import Flag, Section


class OnvifConfig(Section):
    """Events in ONVIF's words, as a device with Profile M publishes them over MQTT."""

    enabled: Flag = Field(
        default=False, description="Publish crossings, zones and counters below `<mqtt.prefix>/onvif-ej` too."
    )
