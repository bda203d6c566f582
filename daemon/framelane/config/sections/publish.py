"""The `publish` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from framelane.config.sections.section import Seconds, Section


class PublishConfig(Section):
    """Which results become messages."""

    empty: Literal["always", "heartbeat", "never"] = Field(
        default="always",
        description="Results without objects: all, one per stream and model every `heartbeat_s`, or none.",
    )
    heartbeat_s: Seconds = Field(
        default=10.0, description="Seconds between two empty results with `empty: heartbeat`."
    )
    max_rate: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="Most results per second of each stream and model; null for all."
    )
