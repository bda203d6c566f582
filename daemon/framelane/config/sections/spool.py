"""The `mqtt.spool` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from framelane.config.sections.section import Flag, Section, Size, Text


class SpoolConfig(Section):
    """Detections that the broker has not acknowledged, kept on disk until it does."""

    enabled: Flag = Field(
        default=True, description="Whether unacknowledged detections are kept on disk, not only in memory."
    )
    folder: Text | None = Field(
        default=None,
        description="Folder of the spools; by default `spool` in systemd's `$STATE_DIRECTORY`, "
        "else in `$XDG_STATE_HOME/framelane`.",
    )
    max_bytes: Size = Field(
        default="1GiB",
        description="Most disk space of one process's spool; if full, the oldest detections are dropped "
        "and counted.",
    )
    max_age_s: Annotated[float, Field(ge=1, le=31_536_000)] = Field(
        default=604_800.0,
        description="Seconds after which an undelivered detection is dropped and counted.",
    )
    sync_ms: Annotated[int, Field(ge=20, le=60_000)] = Field(
        default=1000,
        description="Unacknowledged detections reach disk within this many ms; a power cut loses no more.",
    )
