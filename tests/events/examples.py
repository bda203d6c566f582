"""Events and states that the tests of events share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.sinks.examples import WALL_S

from framelane.core.events import Event, TrackedObject
from framelane.messages.events import LineState, ZoneState

PERSON = TrackedObject(
    id="gate-01/lobby/run-1/17",
    track_id=17,
    label="person",
    confidence=0.87342,
    xyxy=(102.44, 310.0, 168.16, 482.9),
    width=1920,
    height=1080,
    since=WALL_S - 9,
    stationary=False,
    zones=("yard",),
)
NEW = Event("lobby", "run-1", "yolox", "new", PERSON, WALL_S, "rtcp", 1)


def event(number: int = 17, /, **changes: Any) -> Event:
    """`new` of an object with this number, with the changes."""
    seen = replace(PERSON, id=f"gate-01/lobby/{changes.get('run', 'run-1')}/{number}", track_id=number)
    return replace(NEW, **{"object": seen} | changes)


def crossing(number: int = 17, /, **changes: Any) -> Event:
    """The object crossed the line `street` to the left, with the changes."""
    return event(number, **{"kind": "line", "rule": "street", "direction": "left"} | changes)


def zone_state(**changes: Any) -> ZoneState:
    """Two persons are in the yard."""
    return replace(ZoneState("lobby", "yard", "person", 2, WALL_S - 9, WALL_S), **changes)


def line_state(**changes: Any) -> LineState:
    """42 persons crossed the street to the left, and 7 to the right."""
    return replace(LineState("lobby", "street", "person", 42, 7, WALL_S - 3600, WALL_S), **changes)
