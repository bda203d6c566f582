"""The `lines`, `zones` and `events` of a stream."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from framelane.config.sections.section import (
    TIME_OF_DAY_PATTERN,
    Flag,
    Seconds,
    Section,
    Text,
    Unit,
)

Anchor = Literal["bottom", "center", "top"]
Point = Annotated[list[Unit], Field(min_length=2, max_length=2)]
_CLASSES = "Labels that it applies to; null for all of the stream."
_ANCHOR = "Point of an object's box that counts: the middle of its bottom or top edge, or its center."


class LineConfig(Section):
    """A line that counts the objects that cross it, per direction."""

    points: Annotated[list[Point], Field(min_length=2, max_length=32)] = Field(
        description="Points [x, y] of the line, in order, from 0 to 1; left and right are as seen when walking "
        "along it.",
        examples=[[[0.1, 0.7], [0.9, 0.7]]],
    )
    classes: Annotated[list[Text], Field(min_length=1)] | None = Field(default=None, description=_CLASSES)
    anchor: Anchor = Field(default="bottom", description=_ANCHOR)
    max_gap_s: Seconds = Field(
        default=2.0, description="Seconds unseen after which an object that reappears has not crossed."
    )
    min_boxes: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1,
        description="Boxes in a row clear of the line on its new side after which an object has crossed; 2 for "
        "boxes that jump over the line and back.",
    )


class ZoneConfig(Section):
    """An area that knows which objects are in it, and for how long."""

    polygon: Annotated[list[Point], Field(min_length=3, max_length=64)] = Field(
        description="Corners [x, y] of the zone, in order, from 0 to 1; zones may overlap.",
        examples=[[[0.2, 0.5], [0.8, 0.5], [0.9, 1.0], [0.1, 1.0]]],
    )
    classes: Annotated[list[Text], Field(min_length=1)] | None = Field(default=None, description=_CLASSES)
    anchor: Anchor = Field(default="bottom", description=_ANCHOR)
    enter_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=0.3,
        description="Seconds that an object must be inside, in at least two frames, to have entered.",
    )
    exit_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=1.0, description="Seconds that an object must be outside or unseen to have left."
    )
    loiter_s: Seconds | None = Field(
        default=None, description="Seconds inside after which an object loiters; null for never."
    )


class EventsConfig(Section):
    """What is reported about objects."""

    objects: Flag = Field(
        default=True, description="Whether `new`, `update` and `end` of each object are published."
    )
    still_s: Seconds = Field(
        default=10.0, description="Seconds without movement after which an object is stationary."
    )
    hold_s: Seconds = Field(
        default=60.0,
        description="Seconds for which a stationary object that is hidden keeps its place and id.",
    )
    update_s: Seconds = Field(
        default=60.0, description="Most seconds between two events of an object that is in view."
    )
    reset: Annotated[str, Field(pattern=TIME_OF_DAY_PATTERN)] | None = Field(
        default=None,
        description='Local time of day at which counters start again, such as "00:00"; null for never.',
    )
