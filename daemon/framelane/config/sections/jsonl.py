"""The `jsonl` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from framelane.config.sections.section import QueueLength, Section, Text


class JsonlConfig(Section):
    """Messages as JSON lines, in a file or on standard output."""

    path: Text = Field(description="File to append to, or `-` for standard output.", examples=["-"])
    kinds: list[Literal["detections", "events", "zones", "lines", "state", "stats", "status"]] = Field(
        default=["detections", "events"], description="Kinds of messages to write."
    )
    queue: QueueLength = Field(
        default=10_000,
        description="Messages held in memory while the disk is slow; if full, the oldest are dropped "
        "and counted.",
    )
