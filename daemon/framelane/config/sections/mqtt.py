"""The `mqtt` section."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from framelane.config.sections.homeassistant import HomeAssistantConfig
from framelane.config.sections.mqtt_tls import TlsConfig
from framelane.config.sections.section import PREFIX_PATTERN, Flag, QueueLength, Section, Text
from framelane.config.sections.spool import SpoolConfig


def _whole(value: object) -> object:
    """Turn text that is a whole number into an int; all scalars of the YAML file arrive as text."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value) else value


class MqttConfig(Section):
    """The broker that messages are published to."""

    url: Text = Field(
        description="mqtt://host[:1883] or mqtts://host[:8883]; may contain user:password@.",
        examples=["mqtt://127.0.0.1:1883"],
    )
    username: Text | None = Field(default=None, description="User name.")
    password: SecretStr | None = Field(
        default=None, description="Password; ${ENV} or password_file is better."
    )
    password_file: Text | None = Field(default=None, description="File that contains the password.")
    client_id: Text | None = Field(
        default=None, description="MQTT client id; `<prefix>-<node id>` by default."
    )
    prefix: str = Field(
        default="framelane", pattern=PREFIX_PATTERN, description="First levels of every topic."
    )
    payload: Literal["json", "msgpack"] = Field(
        default="json", description="Encoding of detections; all other messages are always JSON."
    )
    qos: Annotated[Literal[0, 1, 2], BeforeValidator(_whole)] = Field(
        default=1, description="Quality of service of detections."
    )
    retain: Flag = Field(
        default=True,
        description="Whether the broker retains the latest status, states and announcements "
        "for new subscribers; false for a broker that can't.",
    )
    protocol: Literal["5", "3.1.1"] = Field(default="5", description="MQTT version.")
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = Field(
        default=30, description="Seconds between pings on an idle connection."
    )
    expiry_s: Annotated[int, Field(ge=0, le=4_294_967_295)] = Field(
        default=0, description="Message expiry of detections in seconds (MQTT 5 only); 0 for none."
    )
    queue: QueueLength = Field(
        default=10_000,
        description="Detections held in memory while the broker is slow, or away with the spool off; "
        "if full, the oldest are dropped and counted.",
    )
    spool: SpoolConfig = Field(default_factory=SpoolConfig, description="The spool on disk.")
    inflight: Annotated[int, Field(ge=1, le=65_535)] = Field(
        default=256, description="Most unacknowledged QoS 1 and 2 messages in flight."
    )
    tls: TlsConfig = Field(default_factory=TlsConfig, description="TLS files for mqtts://.")
    homeassistant: HomeAssistantConfig = Field(
        default_factory=HomeAssistantConfig, description="Home Assistant discovery."
    )
