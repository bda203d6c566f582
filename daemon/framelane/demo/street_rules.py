"""A line across a street and a zone beside it, and what truly happens there.

Both lie on the ground. Where an object truly is, is the point of the ground below its middle, which no rule sees: the
rules see boxes. What is too small or too hidden to count for a detector is no part of the truth, see demo/truth.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from framelane.demo.cast import NOTHING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from framelane.demo.scene import Scene

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    # Numbers of actors, and their places [frames + 1, 2].
    Movers = list[tuple[int, Floats]]

_FARTHEST_M = 10.0
"""Beyond it, persons are too small to count for or against a detector."""
_DEPTH_M = 8.0
_MOST_STEP_M = 5.0
_SEEN_S = 0.5
"""Seconds before and after a crossing in which an object must count for a detector."""
_MARGIN = 0.01
"""Share of the image along its border where neither line nor zone is."""
_CLEAR_MARGIN = 0.1
"""The same for the demo's line and zone: at the border, objects are cut off."""
_LEAST_WIDTH = 0.5
"""Least share of the image's width that the demo's line takes."""
_FROM_M, _TO_M, _STEP_M = -15.0, 15.0, 0.5
_IN_S, _OUT_S = 0.5, 1.2
"""Seconds within which a zone with the usual `enter_s` and `exit_s` has let an object in and out."""
_LEAST_DEPTH_M = 1.0
_TOLERANCE_PX = 1.0


@dataclass(frozen=True, slots=True)
class GroundLine:
    """A line on the ground across the street.

    Attributes:
        y_m: where along the street it is.
        from_m: where across the street it begins to count.
        to_m: where it ends.
        points: its ends in the image in pixels, the left one first [2, 2].
    """

    y_m: float
    from_m: float
    to_m: float
    points: Floats


@dataclass(frozen=True, slots=True)
class TrueCount:
    """How many objects there truly are.

    Attributes:
        sure: those that a detector must find.
        doubtful: those that it may find or not, or that a rule may have taken or not.
    """

    sure: int
    doubtful: int

    def __add__(self, other: TrueCount) -> TrueCount:
        return TrueCount(self.sure + other.sure, self.doubtful + other.doubtful)


@dataclass(frozen=True, slots=True)
class TrueCrossing:
    """An object's way over the line on the ground.

    Attributes:
        side: side of the line in the image that it leads to: -1 left, 1 right.
        frame: first frame of the loop that shows the object there.
        at_s: when, in seconds from the loop's first frame.
        doubtful: whether the object does not count for a detector all the time around it.
    """

    side: int
    frame: int
    at_s: float
    doubtful: bool


def line_looked_at(scene: Scene) -> GroundLine | None:
    """Return the line where the camera looks, but near enough; None if it is not in view. All ways over it count."""
    forward = scene.camera.axes[2]
    # The camera looks at a spot about 0.9 m above the ground.
    reach = (scene.camera.position[2] - 0.9) / max(-forward[2], 1e-3)
    y_m = float(np.clip(scene.camera.position[1] + forward[1] * reach, -_FARTHEST_M, _FARTHEST_M))
    line = _line(scene, y_m, _MARGIN)
    return None if line is None else replace(line, from_m=-np.inf, to_m=np.inf)


def clearest_line(scene: Scene, counting: Sequence[Collection[int]]) -> GroundLine | None:
    """Return the line with the most crossings that are not doubtful, as one would draw it where objects are well seen.

    Args:
        scene: the street.
        counting: see `true_crossings`.
    """
    lines = [
        line
        for y_m in np.arange(_FROM_M, _TO_M + _STEP_M, _STEP_M).tolist()
        if (line := _line(scene, y_m, _CLEAR_MARGIN)) is not None
    ]
    width = _LEAST_WIDTH * scene.size_wh[0]
    lines = [line for line in lines if line.points[1, 0] - line.points[0, 0] >= width] or lines
    movers = _movers(scene, len(counting))

    def clearness(line: GroundLine) -> int:
        return sum(-1 if each.doubtful else 1 for each in _crossings(scene, line, movers, counting))

    return max(lines, key=clearness, default=None)


def true_crossings(scene: Scene, line: GroundLine, counting: Sequence[Collection[int]]) -> list[TrueCrossing]:
    """Return the crossings of a line in one loop, in their order.

    Args:
        scene: the street.
        line: the line.
        counting: for each frame of a loop the numbers of the actors that count for a detector.
    """
    return _crossings(scene, line, _movers(scene, len(counting)), counting)


def _crossings(
    scene: Scene, line: GroundLine, movers: Movers, counting: Sequence[Collection[int]]
) -> list[TrueCrossing]:
    frames, found = len(counting), []
    seen = round(_SEEN_S * frames / scene.loop_s)
    for number, places in movers:
        y = places[:, 1] - line.y_m
        steps = np.diff(y)
        crossed = ((y[:-1] < 0) != (y[1:] < 0)) & (np.abs(steps) < _MOST_STEP_M)
        crossed &= (places[:-1, 0] >= line.from_m) & (places[:-1, 0] <= line.to_m)
        for frame in np.flatnonzero(crossed).tolist():
            around = range(frame + 1 - seen, frame + 1 + seen)
            doubtful = any(number not in counting[each % frames] for each in around)
            side = _side(scene, line, places[frame, 0], line.y_m + np.sign(steps[frame]) * 0.2)
            at_s = (frame - y[frame] / steps[frame]) * scene.loop_s / frames
            found.append(TrueCrossing(side, (frame + 1) % frames, at_s, doubtful))
    return sorted(found, key=lambda each: each.at_s)


def zone_polygon(scene: Scene, line: GroundLine) -> Floats:
    """Return the visible corners of the zone in pixels [V, 2]; empty if too little of it is in view.

    It is the street from wall to wall, for 8 m from the line towards the camera.
    """
    low, high = _zone_y(scene, line)
    walls = scene.street.walls_at
    x, y = np.meshgrid(np.linspace(-walls, walls, 120), np.linspace(low, high, 120))
    uv, seen = _seen(scene, x.ravel(), y.ravel(), _CLEAR_MARGIN)
    if not seen.any():
        return np.zeros((0, 2))
    hull = cv2.convexHull(uv[seen].astype(np.float32))
    corners = cv2.approxPolyDP(hull, _TOLERANCE_PX, closed=True)[:, 0].astype(np.float64)
    return corners if len(corners) > 2 else np.zeros((0, 2))  # noqa: PLR2004 - a polygon has three corners


def true_occupancy(
    scene: Scene, line: GroundLine, counting: Sequence[Collection[int]], shown: Sequence[Collection[int]]
) -> list[TrueCount]:
    """Return for each frame of a loop how many objects are in the zone, as far as a rule can know.

    It is doubtful whether an object is in the zone while it stands on the border, and for as long as a zone takes to
    let objects in and out.

    Args:
        scene: the street.
        line: the line at which the zone begins.
        counting: see `true_crossings`.
        shown: likewise the actors that show at all.
    """
    frames = len(counting)
    low, high = _zone_y(scene, line)
    sure, possible = np.zeros(frames, np.intp), np.zeros(frames, np.intp)
    for number, places in _actors(scene, frames):
        _, seen = _seen(scene, places[:-1, 0], places[:-1, 1], _CLEAR_MARGIN)
        # How far inside it is, in half lengths of the object.
        y, half_m = places[:-1, 1], scene.actors[number].footprint_m[0]
        depth = np.minimum(y - low, high - y) / half_m
        counts, shows = ([number in each for each in some] for some in (counting, shown))
        sure += ~_lately(~(seen & (depth >= 1) & counts), _IN_S * frames / scene.loop_s)
        possible += _lately(seen & (depth >= -1) & shows, _OUT_S * frames / scene.loop_s)
    return [
        TrueCount(least, most - least) for least, most in zip(sure.tolist(), possible.tolist(), strict=True)
    ]


def _lately(happens: Flags, frames: float) -> Flags:
    """Return whether something happens in a frame of a loop, or did in the last ones."""
    found: Flags = np.logical_or.reduce([np.roll(happens, back) for back in range(int(np.ceil(frames)) + 1)])
    return found


def _line(scene: Scene, y_m: float, margin: float) -> GroundLine | None:
    """Return the part of a line from wall to wall that is in view; None if there is none."""
    x = np.linspace(-scene.street.walls_at, scene.street.walls_at, 200)
    uv, seen = _seen(scene, x, np.full_like(x, y_m), margin)
    if seen.sum() <= 1:
        return None
    ends = uv[seen][[0, -1]]
    # Some cameras look up the street, others down.
    points = ends if ends[0, 0] < ends[1, 0] else ends[::-1]
    return GroundLine(y_m, float(x[seen][0]), float(x[seen][-1]), points)


def _zone_y(scene: Scene, line: GroundLine) -> tuple[float, float]:
    """Return from where to where along the street the zone reaches, in meters."""
    y_m = line.y_m
    return (y_m - _DEPTH_M, y_m) if y_m >= scene.camera.position[1] else (y_m, y_m + _DEPTH_M)


def _seen(scene: Scene, x_m: Floats, y_m: Floats, margin: float) -> tuple[Floats, Flags]:
    """Return where points of the ground [N] are in the image, in pixels [N, 2], and whether they are in it [N]."""
    uv, depth = scene.camera.project(np.stack([x_m, y_m, np.zeros_like(x_m)], axis=1))
    size = np.array(scene.size_wh)
    seen: Flags = (depth > _LEAST_DEPTH_M) & ((uv > size * margin) & (uv < size * (1 - margin))).all(axis=1)
    return uv, seen


def _actors(scene: Scene, frames: int) -> Movers:
    """Return the objects' numbers, and their places on the ground in each frame and the one after [frames + 1, 2]."""
    phases = np.linspace(0.0, 1.0, frames + 1).tolist()
    return [
        (number, np.array([(place.x, place.y) for place in map(actor.path.at, phases)]))
        for number, actor in enumerate(scene.actors)
        if actor.class_id != NOTHING
    ]


def _movers(scene: Scene, frames: int) -> Movers:
    return [(number, places) for number, places in _actors(scene, frames) if not scene.actors[number].still]


def _side(scene: Scene, line: GroundLine, x_m: float, y_m: float) -> int:
    """Return on which side of the line in the image a point of the ground is: -1 left, 1 right."""
    uv, _ = scene.camera.project(np.array([x_m, y_m, 0.0]))
    along, off = line.points[1] - line.points[0], uv - line.points[0]
    return 1 if along[0] * off[1] - along[1] * off[0] > 0 else -1
