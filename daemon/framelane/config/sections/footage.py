"""The `snapshots` and `clips` of a stream."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from framelane.config.sections.section import Flag, Section, Size

SnapshotKind = Literal["new", "update", "end", "line", "zone_enter", "zone_exit", "loiter"]
ClipKind = Literal["end", "line", "zone_enter", "loiter"]


class SnapshotsConfig(Section):
    """Snapshots of events: the best view of the object so far."""

    kinds: list[SnapshotKind] = Field(
        default=["line", "zone_enter", "zone_exit", "loiter", "end"],
        description="Kinds of events that get a snapshot.",
    )
    objects: Annotated[int, Field(ge=1, le=256)] = Field(
        default=64, description="Most objects of the stream whose best view is remembered."
    )
    margin: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Margin around the object, on each side, as a share of its size."
    )
    longest: Annotated[int, Field(ge=64, le=8192)] = Field(
        default=1280, description="Most pixels of the whole image's longer side; larger ones are reduced."
    )
    quality: Annotated[int, Field(ge=1, le=100)] = Field(default=85, description="JPEG quality.")
    publish: Literal["none", "crop", "whole"] = Field(
        default="none", description="Which image of each snapshot is published on MQTT."
    )
    annotated: Flag = Field(
        default=False, description="Draw the object's box into the published whole image."
    )
    retain: Flag = Field(
        default=True, description="Whether the broker retains the newest published image of each label."
    )


class ClipsConfig(Section):
    """Clips of events: the camera's own video, not encoded again."""

    kinds: list[ClipKind] = Field(
        default=["end"],
        description="Kinds of events that get a clip. That of `end` begins with the object, the others with the "
        "event; all end with the object.",
    )
    before_s: Annotated[float, Field(ge=0, le=600)] = Field(
        default=5.0, description="Seconds of video before that; up to one GOP more."
    )
    after_s: Annotated[float, Field(ge=0, le=600)] = Field(
        default=3.0, description="Seconds of video after the object was last seen."
    )
    most_s: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=120.0, description="Seconds after which a clip ends in any case."
    )
    max_bytes: Size = Field(
        default="64MiB",
        description="Most memory for the stream's video; if full, the oldest open clip ends, or there is less "
        "before the next one.",
    )
