"""What happened to tracked objects: the values that pass from rules to the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from framelane.core.attributes import Attribute
    from framelane.core.frames import ClockName

EventKind = Literal["new", "update", "end", "line", "zone_enter", "zone_exit", "loiter", "clip"]
Direction = Literal["left", "right"]
EndReason = Literal["left", "lost", "stream", "stopped", "restart"]


@dataclass(frozen=True, slots=True)
class TrackedObject:
    """One object as its newest measured box shows it.

    Attributes:
        id: node/stream/run/n; of a stream's second and further models node/stream/run/model/n. Never used twice.
        track_id: its `track_id` in detections.
        label: class name, by a vote over its boxes.
        confidence: of the box, 0 to 1.
        xyxy: corners in source pixels.
        width: of the frame, in pixels.
        height: of the frame, in pixels.
        since: Unix time in seconds of its first box.
        stationary: whether it stands still.
        zones: names of the zones that it is in.
        attributes: what second models say of it.
    """

    id: str
    track_id: int
    label: str
    confidence: float
    xyxy: tuple[float, float, float, float]
    width: int
    height: int
    since: float
    stationary: bool
    zones: tuple[str, ...]
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object.

    Attributes:
        stream: id of the stream.
        run: the run whose pipeline saw it; part of the object's id.
        model: key of the model that found the object.
        kind: what happened.
        object: the object.
        at: Unix time in seconds at which it happened, which may be earlier than the frame that showed it.
        clock: what `at` and all durations rely on; see FrameInfo.
        ordinal: counts the events of this object, rule and kind, from 1.
        rule: name of the line or zone; None if the object itself changed.
        direction: the side of the line that the object moved to.
        since: of `zone_exit` and `loiter`, Unix time of the first box inside; of `clip`, of its first picture.
        reason: why an object ended.
        of: of `clip`, the id of the event whose clip is ready.
        snapshot_url: where its snapshot will be; None if it has none, or the address is not known.
        clip_url: of `clip`, where that is; None if the address is not known.
    """

    stream: str
    run: str
    model: str
    kind: EventKind
    object: TrackedObject
    at: float
    clock: ClockName
    ordinal: int
    rule: str | None = None
    direction: Direction | None = None
    since: float | None = None
    reason: EndReason | None = None
    of: str | None = None
    snapshot_url: str | None = None
    clip_url: str | None = None


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many objects of one label are in a zone; said at the first frame of a connection and at each change.

    Attributes:
        stream: id of the stream.
        zone: name of the zone.
        label: class name.
        count: objects inside.
        at: Unix time in seconds since when.
    """

    stream: str
    zone: str
    label: str
    count: int
    at: float
