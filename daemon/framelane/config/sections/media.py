"""The `media` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from framelane.config.sections.s3 import S3Config
from framelane.config.sections.section import Section, Size, Text


class MediaConfig(Section):
    """Where snapshots and clips of events are kept, and how much of them."""

    folder: Text | None = Field(
        default=None,
        description="Folder of snapshots and clips; null keeps none. Framelane deletes the oldest files in it.",
    )
    max_bytes: Size = Field(
        default="10GiB", description="Most disk space; if full, the oldest files are deleted and counted."
    )
    max_age_s: Annotated[float, Field(ge=60, le=315_360_000)] = Field(
        default=604_800.0, description="Seconds after which a file is deleted and counted."
    )
    min_free_bytes: Size = Field(
        default="1GiB",
        description="Space that is left free on the disk; if there is less, the oldest files are deleted.",
    )
    url: Text | None = Field(
        default=None,
        description="Address of the HTTP listener for `snapshot_url` and `clip_url` in messages; by default that of "
        "`http.listen`, unless it listens on all addresses.",
    )
    s3: S3Config | None = Field(
        default=None,
        description="A bucket that snapshots and clips are uploaded to; null for none. Needs the extra `s3`.",
    )
