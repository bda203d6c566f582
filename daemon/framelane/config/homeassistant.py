"""The `mqtt.homeassistant` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from framelane.config.section import PREFIX_PATTERN, Section, Text


class HomeAssistantConfig(Section):
    """MQTT discovery of Home Assistant (2024.11 and newer), which shows node and streams as devices."""

    enabled: bool = Field(default=False, description="Announce node and streams to Home Assistant.")
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
        default=5, description="Seconds without an object after which its occupancy sensor goes off."
    )
