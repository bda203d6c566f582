"""Encodes what happens to objects: events, the occupancy of zones and the counters of lines. Always JSON."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from framelane.messages.attributes import attributes_json
from framelane.messages.detections import Message
from framelane.messages.timestamps import timestamp
from framelane.messages.topics import key_of

if TYPE_CHECKING:
    from framelane.core.events import Event, TrackedObject
    from framelane.messages.detections import Kind

_NAMESPACE = uuid.UUID("a6c1f3f6-2f0e-5b0e-9a55-0d0b3e6f7c11")
"""Of the UUIDs of events. It never changes, or replays of an older version would count twice."""


@dataclass(frozen=True, slots=True)
class Count:
    """A counter after an event.

    Attributes:
        total: events since the epoch, this one included.
        epoch: Unix time in seconds at which the count began.
    """

    total: int
    epoch: float


@dataclass(frozen=True, slots=True)
class ZoneState:
    """The occupancy of a zone by one label.

    Attributes:
        stream: id of the stream.
        zone: name of the zone.
        label: class name.
        count: objects inside; None while unknown.
        since: Unix time since when; None while unknown.
        as_of: Unix time of this state.
    """

    stream: str
    zone: str
    label: str
    count: int | None
    since: float | None
    as_of: float


@dataclass(frozen=True, slots=True)
class LineState:
    """The counters of a line for one label.

    Attributes:
        stream: id of the stream.
        line: name of the line.
        label: class name.
        left: crossings to the left; None while unknown.
        right: crossings to the right; None while unknown.
        epoch: Unix time at which they began; None while unknown.
        as_of: Unix time of this state.
    """

    stream: str
    line: str
    label: str
    left: int | None
    right: int | None
    epoch: float | None
    as_of: float


def event_id(node: str, event: Event) -> str:
    """Return the id of an event: a UUID of version 5 (RFC 9562), the same whenever the event is published."""
    name = [node, event.stream, event.object.id, event.rule, event.kind, event.ordinal]
    return str(uuid.uuid5(_NAMESPACE, orjson.dumps(name).decode()))


def event_message(node: str, event: Event, count: Count | None) -> Message:
    """Encode an event; `count` is None if it counts nothing or its counter is unknown.

    `replayed` must stay the last key: see `as_replayed`.
    """
    body: dict[str, Any] = {
        "schema": "framelane.event/1",
        "node": node,
        "stream": event.stream,
        "run": event.run,
        "event": event_id(node, event),
        "kind": event.kind,
        "model": {"name": event.model},
        "object": _object(event.object),
        "rule": event.rule,
        "direction": event.direction,
        "total": None if count is None else count.total,
        "epoch": None if count is None else timestamp(count.epoch),
        "at": timestamp(event.at),
        "clock": event.clock,
    }
    if event.since is not None:
        body["since"] = timestamp(event.since)
    if event.since is not None and event.kind != "clip":
        body["dwell_s"] = round(max(event.at - event.since, 0.0), 3)
    if event.reason is not None:
        body["reason"] = event.reason
    if event.of is not None:
        body["of"] = event.of
    if event.snapshot_url is not None:
        body["snapshot_url"] = event.snapshot_url
    if event.clip_url is not None:
        body["clip_url"] = event.clip_url
    body["replayed"] = False
    return Message("events", event.stream, orjson.dumps(body), retain=False)


def zone_message(node: str, state: ZoneState) -> Message:
    """Encode a zone's occupancy; retained."""
    body = {
        "schema": "framelane.zone/1",
        "node": node,
        "stream": state.stream,
        "zone": state.zone,
        "label": state.label,
        "count": state.count,
        "since": None if state.since is None else timestamp(state.since),
        "as_of": timestamp(state.as_of),
        "known": state.count is not None,
    }
    return _retained("zones", state.stream, key_of(state.zone, state.label), orjson.dumps(body))


def line_message(node: str, state: LineState) -> Message:
    """Encode a line's counters; retained."""
    body = {
        "schema": "framelane.line/1",
        "node": node,
        "stream": state.stream,
        "line": state.line,
        "label": state.label,
        "left": state.left,
        "right": state.right,
        "epoch": None if state.epoch is None else timestamp(state.epoch),
        "as_of": timestamp(state.as_of),
        "known": state.epoch is not None,
    }
    return _retained("lines", state.stream, key_of(state.line, state.label), orjson.dumps(body))


def cleared_message(kind: Kind, stream: str, key: str) -> Message:
    """Delete the retained message of a zone or line that is gone (MQTT 5, 3.3.1.3)."""
    return _retained(kind, stream, key, b"")


def _retained(kind: Kind, stream: str, key: str, payload: bytes) -> Message:
    return Message(kind, stream, payload, retain=True, key=key)


def _object(seen: TrackedObject) -> dict[str, Any]:
    sides = (seen.width, seen.height, seen.width, seen.height)
    # As in detections, nothing is reported outside the image.
    shares = [
        min(max(pixels / side, 0.0), 1.0) if side else 0.0
        for pixels, side in zip(seen.xyxy, sides, strict=True)
    ]
    body: dict[str, Any] = {
        "id": seen.id,
        "track_id": seen.track_id,
        "label": seen.label,
        "confidence": round(min(max(seen.confidence, 0.0), 1.0), 4),
        "box": [round(share * side, 1) for share, side in zip(shares, sides, strict=True)],
        "box_norm": [round(share, 5) for share in shares],
        "since": timestamp(seen.since),
        "stationary": seen.stationary,
        "zones": list(seen.zones),
    }
    if seen.attributes:
        body["attributes"] = attributes_json(seen.attributes)
    return body
