"""A stream whose objects move as a test says, and the events that the rules make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from framelane.analytics.observations import Observation
from framelane.analytics.rules.engine import RuleEngine
from framelane.analytics.rules.reporter import Moment
from framelane.analytics.rules.ruleset import RuleSet
from framelane.analytics.tracker import Tracker
from framelane.config.sections.rules import EventsConfig, LineConfig, ZoneConfig
from framelane.core.events import Event, Occupancy

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH, HEIGHT = 1000, 500
LABELS = ("person", "car")
START = 1_000_000.0
Center = tuple[float, float]


def ruleset(
    lines: dict[str, dict[str, Any]] | None = None,
    zones: dict[str, dict[str, Any]] | None = None,
    **options: Any,
) -> RuleSet:
    return RuleSet.of(
        {name: LineConfig.model_validate(line) for name, line in (lines or {}).items()},
        {name: ZoneConfig.model_validate(zone) for name, zone in (zones or {}).items()},
        EventsConfig.model_validate(options),
        LABELS,
    )


class Scene:
    """One stream with boxes of 40 x 40 pixels, given by the middle of their bottom edges."""

    def __init__(self, rules: RuleSet | None, stream: str = "gate", size: float = 40.0) -> None:
        self.tracker = Tracker()
        self.engine = RuleEngine(self.tracker, "tiny")
        self.rules = rules
        self.events: list[Event] = []
        self.counts: list[Occupancy] = []
        self.zones: dict[tuple[int, int], tuple[str, ...]] = {}
        self._stream = stream
        self._size = size

    def resize(self, size: float) -> None:
        """Give boxes other sides, in pixels, from the next frame on."""
        self._size = size

    def frame(self, at_s: float, *feet: Center, classes: list[int] | None = None) -> None:
        """Show objects at one time."""
        moment = Moment(self._stream, "run", f"node/{self._stream}/run", at_s, START, "media", WIDTH, HEIGHT)
        if self.rules is None:
            self.engine.leave(self._stream)
        else:
            self.engine.follow(self._stream, self.rules, moment)
        points = np.array(feet, np.float32).reshape(-1, 2)
        half = self._size / 2
        center = points - np.array([0.0, half], np.float32)
        xyxy = np.concatenate((center - half, center + half), axis=1).astype(np.float32)
        class_id = np.array(classes or [0] * len(points), np.int32)
        seen = Observation(
            self._stream,
            at_s,
            xyxy,
            np.full(len(points), 0.8, np.float32),
            class_id,
            np.zeros(len(points), np.bool_),
        )
        self.zones = self.engine.update(self.tracker.update([seen]))
        self.collect()

    def collect(self) -> None:
        for each in self.engine.taken():
            if isinstance(each, Event):
                self.events.append(each)
            else:
                self.counts.append(each)

    def walk(self, path: Iterable[Center], fps: float = 10.0, start_s: float = 0.0) -> float:
        """Let one object go from point to point; return the time after it."""
        at_s = start_s
        for point in path:
            self.frame(at_s, point)
            at_s += 1 / fps
        return at_s

    def kinds(self, *wanted: str) -> list[str]:
        return [each.kind for each in self.events if not wanted or each.kind in wanted]

    def of(self, kind: str) -> list[Event]:
        return [each for each in self.events if each.kind == kind]


def straight(start: Center, end: Center, count: int) -> list[Center]:
    """Points from one to another, both included."""
    return [
        (start[0] + (end[0] - start[0]) * n / (count - 1), start[1] + (end[1] - start[1]) * n / (count - 1))
        for n in range(count)
    ]
