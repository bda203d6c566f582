"""The `mqtt.homeassistant` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from framelane.config.sections.section import PREFIX_PATTERN, Flag, Section, Text


class HomeAssistantConfig(Section):
    """Home Assistant MQTT discovery (2024.11 and newer): the node and its streams appear as devices."""

    enabled: Flag = Field(default=False, description="Announce the node and its streams to Home Assistant.")
    prefix: str = Field(
        default="homeassistant",
        pattern=PREFIX_PATTERN,
        description="Discovery prefix, as set in Home Assistant's MQTT integration.",
    )
    classes: list[Text] | None = Field(
        default=None,
        description="Labels that get an occupancy sensor and a count; null for each stream's own `classes`.",
    )
    off_delay_s: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=5, description="Seconds without an object until its occupancy sensor turns off."
    )
