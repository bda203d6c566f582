"""The `backoff` section: waits between attempts to open a stream."""

from __future__ import annotations

from pydantic import Field

from framelane.config.sections.section import Seconds, Section


class BackoffConfig(Section):
    """Waits between attempts to open a stream."""

    first_s: Seconds = Field(
        default=1.0, description="Seconds before the first retry; doubles from there, with jitter."
    )
    most_s: Seconds = Field(default=60.0, description="Most seconds between two attempts.")
