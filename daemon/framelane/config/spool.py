"""The `mqtt.spool` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from framelane.config.section import Section, Size, Text


class SpoolConfig(Section):
    """Detections that the broker has not acknowledged, kept on disk until it has."""

    enabled: bool = Field(
        default=True, description="Whether there is a spool; else they wait in memory alone."
    )
    folder: Text | None = Field(
        default=None,
        description="Where spools are kept; `spool` in systemd's `$STATE_DIRECTORY`, "
        "else in `$XDG_STATE_HOME/framelane`, by default.",
    )
    max_bytes: Size = Field(
        default="1GiB", description="Most disk that a process's spool takes; then the oldest go, counted."
    )
    max_age_s: Annotated[float, Field(ge=1, le=31_536_000)] = Field(
        default=604_800.0, description="Seconds after which a detection is given up, counted."
    )
    sync_ms: Annotated[int, Field(ge=20, le=60_000)] = Field(
        default=1000,
        description="Milliseconds within which what is not acknowledged goes to disk: the most that a power cut costs.",
    )
