"""Many streams, objects and rules at once give the same events as plain rules that look at one object and one rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest

from framelane.analytics.observations import Observation
from framelane.analytics.rules.engine import RuleEngine
from framelane.analytics.rules.reporter import Moment
from framelane.analytics.rules.ruleset import RuleSet
from framelane.analytics.tracker import Tracker
from framelane.config.sections.rules import EventsConfig, LineConfig, ZoneConfig
from framelane.core.events import Event

WIDTH, HEIGHT = 1000, 800
SIDE = 60.0
BAND = 0.15 * SIDE
STREAMS, FRAMES, FPS = 12, 400, 10.0
ENTER_S, EXIT_S, MAX_GAP_S = 0.25, 0.75, 1.5
MIN_BOXES = (1, 2, 3, 5, 20)
Point = tuple[float, float]


@dataclass
class PlainLine:
    """A line of two points, and one object."""

    start: Point
    end: Point
    min_boxes: int
    boxes: int = 0
    side: int = 0
    led: int = 0
    crossed_s: float = 0.0
    before: tuple[float, Point] | None = None

    def lies(self, point: Point) -> tuple[float, int]:
        """Distance in pixels and side of a point."""
        (x, y), (ax, ay), (bx, by) = point, self.start, self.end
        across = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        share = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / math.dist(self.start, self.end) ** 2
        share = min(max(share, 0.0), 1.0)
        near = ax + share * (bx - ax), ay + share * (by - ay)
        return math.dist(point, near), (across > 0) - (across < 0)

    def meets(self, one: Point, other: Point) -> float | None:
        """Where on the way from one point to the other it is crossed, from 0 to 1."""
        (x1, y1), (x2, y2), (ax, ay), (bx, by) = one, other, self.start, self.end
        bottom = (x2 - x1) * (by - ay) - (y2 - y1) * (bx - ax)
        if bottom == 0:
            return None
        on_way = ((ax - x1) * (by - ay) - (ay - y1) * (bx - ax)) / bottom
        on_line = ((ax - x1) * (y2 - y1) - (ay - y1) * (x2 - x1)) / bottom
        return on_way if 0 <= on_way <= 1 and 0 <= on_line <= 1 else None

    def see(self, at_s: float, point: Point) -> list[tuple[str, float]]:
        events = []
        if self.before is None or at_s - self.before[0] > MAX_GAP_S:
            self.side = self.led = self.boxes = 0
        else:
            before_s, before = self.before
            distance, side = self.lies(before)
            if not self.side and distance > BAND:
                self.side = side
            share = self.meets(before, point)
            if share is not None:
                self.led = self.lies(point)[1]
                self.crossed_s = before_s + share * (at_s - before_s)
        distance, side = self.lies(point)
        beyond = distance > BAND
        self.boxes = self.boxes + 1 if beyond and self.side == -side and self.led == side else 0
        if self.boxes == self.min_boxes:
            events.append(("left" if side < 0 else "right", self.crossed_s))
            self.boxes = 0
        if beyond and not self.boxes:
            self.side, self.led = side, 0
        self.before = at_s, point
        return events


@dataclass
class PlainZone:
    """A polygon, and one object."""

    polygon: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    inside: list[float] = field(default_factory=list)
    around_s: float = 0.0
    entered: bool = False

    def see(self, at_s: float, point: Point | None) -> list[tuple[str, float]]:
        """Take the next frame; None if it does not show the object."""
        depth = -math.inf if point is None else cv2.pointPolygonTest(self.polygon, point, measureDist=True)
        if depth > 0:
            self.inside.append(at_s)
        if self.inside and depth >= -BAND:
            self.around_s = at_s
        elif self.inside and point is not None and not self.entered:
            self.inside = []
        events = []
        if not self.entered and depth > 0 and len(self.inside) > 1 and at_s - self.inside[0] >= ENTER_S:
            self.entered = True
            events.append(("zone_enter", self.inside[0]))
        if self.inside and at_s - self.around_s >= EXIT_S:
            if self.entered:
                events.append(("zone_exit", self.inside[-1]))
            self.inside, self.entered = [], False
        return events


def walk(rng: np.random.Generator) -> list[Point | None]:
    """A path with gaps, slow enough for the tracker never to lose it."""
    place, speed = rng.uniform((100, 100), (WIDTH - 100, HEIGHT - 100)), rng.normal(0, 6, 2)
    path: list[Point | None] = []
    hidden = 0
    for frame in range(FRAMES):
        speed = np.clip(speed + rng.normal(0, 2, 2), -10, 10)
        speed = np.where(
            (place < 60) & (speed < 0) | (place > (WIDTH - 60, HEIGHT - 60)) & (speed > 0), -speed, speed
        )
        place = place + speed
        starts = hidden == 0 and frame > 2 and rng.random() < 0.03
        hidden = int(rng.integers(1, 4)) if starts else max(hidden - 1, 0)
        x, y = place.astype(np.float32).tolist()
        path.append(None if hidden else (x, y))
    return path


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_events_are_those_of_plain_rules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = rng.uniform(0.1, 0.9, (5, 2, 2)).round(3)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    zones = (rng.uniform(0.3, 0.7, (3, 1, 2)) + corners * rng.uniform(0.05, 0.2, (3, 1, 2))).round(3)
    rules = RuleSet.of(
        {
            f"line{n}": LineConfig(points=each.tolist(), max_gap_s=MAX_GAP_S, min_boxes=MIN_BOXES[n])
            for n, each in enumerate(lines)
        },
        {
            f"zone{n}": ZoneConfig(polygon=each.tolist(), enter_s=ENTER_S, exit_s=EXIT_S)
            for n, each in enumerate(zones)
        },
        EventsConfig(still_s=1000, objects=False),
        ("person",),
    )
    size = np.array([WIDTH, HEIGHT])
    paths = [walk(rng) for _ in range(STREAMS)]
    expected = {
        (stream, f"{kind}{n}", *event)
        for stream, path in enumerate(paths)
        for kind, n, events in plain(path, lines * size, zones * size)
        for event in events
    }
    found = engine_events(rules, paths)
    assert {(s, rule, what) for s, rule, what, _ in found} == {
        (s, rule, what) for s, rule, what, _ in expected
    }
    assert len(found) == len(expected)
    for one, other in zip(sorted(found), sorted(expected), strict=True):
        assert one[:3] == other[:3]
        assert one[3] == pytest.approx(other[3], abs=0.01)
    assert {what for _, _, what, _ in found} == {"left", "right", "zone_enter", "zone_exit"}


def plain(
    path: list[Point | None],
    lines: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    zones: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> list[tuple[str, int, list[tuple[str, float]]]]:
    found = []
    for n, (start, end) in enumerate(lines.tolist()):
        line = PlainLine(tuple(start), tuple(end), MIN_BOXES[n])
        events = [line.see(i / FPS, point) for i, point in enumerate(path) if point is not None]
        found.append(("line", n, [each for some in events for each in some]))
    for n, polygon in enumerate(zones.astype(np.float32)):
        zone = PlainZone(polygon)
        events = [zone.see(i / FPS, point) for i, point in enumerate(path)]
        found.append(("zone", n, [each for some in events for each in some]))
    return found


def engine_events(rules: RuleSet, paths: list[list[Point | None]]) -> list[tuple[int, str, str, float]]:
    """All streams' events, from one batch per frame; boxes stand on the points."""
    tracker = Tracker()
    engine = RuleEngine(tracker, "model")
    found: list[tuple[int, str, str, float]] = []
    for index in range(FRAMES):
        at_s, batch = index / FPS, []
        for stream, path in enumerate(paths):
            points = np.array([path[index]] if path[index] else [], np.float32).reshape(-1, 2)
            corner = points - (SIDE / 2, SIDE)
            boxes = np.concatenate((corner, corner + SIDE), axis=1).astype(np.float32)
            one = np.ones(len(points))
            batch.append(
                Observation(
                    str(stream), at_s, boxes, one.astype(np.float32), np.zeros(len(points), np.int32), one < 1
                )
            )
        tracked = tracker.update(batch)
        for stream in range(len(paths)):
            moment = Moment(str(stream), "run", str(stream), at_s, 0.0, "media", WIDTH, HEIGHT)
            engine.follow(str(stream), rules, moment)
        engine.update(tracked)
        found += [
            (int(each.stream), str(each.rule), each.direction or each.kind, each.at)
            for each in engine.taken()
            if isinstance(each, Event)
        ]
    return found
