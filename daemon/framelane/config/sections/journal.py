"""The `journal` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from framelane.config.sections.section import Section, Size, Text


class JournalConfig(Section):
    """Events and counters on disk, so that none is lost or counted twice."""

    folder: Text | None = Field(
        default=None,
        description="Folder of the journal; by default `journal` in systemd's `$STATE_DIRECTORY`, "
        "else in `$XDG_STATE_HOME/framelane`.",
    )
    max_bytes: Size = Field(
        default="64MiB",
        description="Most disk space; if full, the history goes first, then the oldest undelivered events "
        "are dropped and counted.",
    )
    max_age_s: Annotated[float, Field(ge=1, le=31_536_000)] = Field(
        default=604_800.0, description="Seconds after which an undelivered event is dropped and counted."
    )
    history_events: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=10_000,
        description="Delivered events that are kept for `/api/events` and the page; 0 for none.",
    )
    history_age_s: Annotated[float, Field(ge=60, le=315_360_000)] = Field(
        default=604_800.0, description="Seconds after which a delivered event is no longer kept."
    )
