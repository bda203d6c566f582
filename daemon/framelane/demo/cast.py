"""The actors of a scene: people, cars, bicycles and furniture, each with its path, without collisions."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.demo.bicycles import Bicycle, bicycle_layers, draw_bicycle
from framelane.demo.cars import Car, car_layers, draw_car
from framelane.demo.furniture import Prop, prop_layers
from framelane.demo.paths import Circuit, Path, Stay, Transit
from framelane.demo.people import Person, draw_person, person_layers

if TYPE_CHECKING:
    from framelane.demo.backdrop import Street
    from framelane.demo.camera import Camera, FloatArray
    from framelane.demo.canvas import Layer

CLASS_NAMES = ("person", "car", "bicycle")
PERSON, CAR, BICYCLE, NOTHING = 0, 1, 2, -1


@dataclass(frozen=True, slots=True)
class Actor:
    """One thing in the scene. A ridden bicycle and its rider are two actors on one path."""

    look: Person | Car | Bicycle | Prop
    path: Path
    # Index in CLASS_NAMES, NOTHING for furniture.
    class_id: int
    # Half length ahead, half width.
    footprint_m: tuple[float, float]
    height_m: float
    # Riders only.
    crank_turns: int | None = None

    @property
    def still(self) -> bool:
        """Whether it looks the same in every frame."""
        return isinstance(self.path, Stay) and self.path.sway == 0.0

    def frame(self, phase: float) -> FloatArray:
        """Return its (ahead, left, up) axes and place [4, 3] in world meters."""
        place = self.path.at(phase)
        c, s = np.cos(place.heading), np.sin(place.heading)
        return np.array([(c, s, 0.0), (-s, c, 0.0), (0.0, 0.0, 1.0), (place.x, place.y, 0.0)])

    def layers(self, camera: Camera, phase: float, *, lights_on: bool) -> list[Layer]:
        """Return its shape in the image at a phase of the loop."""
        frame = self.frame(phase)
        if isinstance(self.look, Car):
            return car_layers(camera, self.look, frame, lights_on=lights_on)
        if isinstance(self.look, Bicycle):
            return bicycle_layers(camera, self.look, frame)
        if isinstance(self.look, Prop):
            return prop_layers(camera, self.look, frame)
        crank = None if self.crank_turns is None else -2 * np.pi * self.crank_turns * phase
        return person_layers(camera, self.look, frame, phase, crank)


class Casting:
    """Fills a street with actors that suit the camera's view."""

    def __init__(self, rng: np.random.Generator, camera: Camera, street: Street, loop_s: float) -> None:
        """Prepare to cast; `loop_s` determines all speeds, because every motion must complete in it."""
        self.rng = rng
        self.camera = camera
        self.street = street
        self.loop_s = loop_s
        self.actors: list[Actor] = []
        # x, y and radius of still things.
        self._taken: list[tuple[float, float, float]] = []

    def fill(self) -> list[Actor]:
        """Cast everything. The order is fixed, so that a seed always gives the same scene."""
        rng = self.rng
        crowd = float(rng.uniform(0.35, 1.0))
        self._park(crowd)
        self._furnish()
        for side in (-1.0, 1.0):
            for _ in range(int(rng.binomial(2, 0.55 * crowd + 0.2))):
                self._drive(side)
            for _ in range(int(rng.binomial(3, 0.45 * crowd + 0.2))):
                self._ride(side)
            for _ in range(int(rng.binomial(2, 0.45 * crowd))):
                self._walk_along(side)
        for _ in range(int(rng.binomial(9, 0.55 * crowd))):
            self._stroll()
        for _ in range(int(rng.binomial(5, 0.5 * crowd))):
            self._wait()
        return self.actors[:250]

    def _visible_span(self, x: float, height_m: float) -> tuple[float, float] | None:
        """Return the stretch (from, to) along the street at `x` that is in view within 75 m, or None."""
        y = np.arange(-70.0, 75.0, 0.5)
        points = np.stack(
            [np.stack([np.full_like(y, x), y, np.full_like(y, z)], axis=-1) for z in (0.0, height_m)]
        )
        uv, depth = self.camera.project(points)
        width, height = self.camera.size_wh
        inside = (depth > 0.5) & (depth < 75) & (uv[..., 0] > -0.05 * width) & (uv[..., 0] < 1.05 * width)
        inside &= (uv[..., 1] > -0.1 * height) & (uv[..., 1] < 1.15 * height)
        seen = np.flatnonzero(inside.any(axis=0))
        if len(seen) < 4:
            return None
        return float(y[seen[0]]), float(y[seen[-1]])

    def _transit(
        self, x: float, direction: float, speed_m_s: float, half_length: float
    ) -> tuple[Transit, float] | None:
        """Return a path through the visible stretch at about this speed, and the actual speed."""
        span = self._visible_span(x, 1.5)
        if span is None:
            return None
        low, high = span[0] - half_length - 1.5, span[1] + half_length + 1.5
        spare = speed_m_s * self.loop_s - (high - low)
        if spare > 0:
            low, high = low - spare / 2, high + spare / 2
        laps = max(1, round((high - low) / (speed_m_s * self.loop_s)))
        ends = ((x, low), (x, high)) if direction > 0 else ((x, high), (x, low))
        path = Transit(ends[0], ends[1], laps, float(self.rng.random()) * laps)
        return path, (high - low) / (laps * self.loop_s)

    def _drive(self, side: float) -> None:
        """Add one car to the lane of a side; traffic keeps to the right."""
        x = side * self.street.lane_m / 2
        fast = 10.5 if side > 0 else 8.5
        found = self._transit(x, side, fast, 2.6)
        if found is None:
            return
        path, _ = found
        others = [
            a.path
            for a in self.actors
            if isinstance(a.path, Transit) and a.class_id == CAR and a.path.start == path.start
        ]
        for _ in range(8):
            gap = min(
                (abs((path.offset - o.offset + path.laps / 2) % path.laps - path.laps / 2) for o in others),
                default=1.0,
            )
            if gap * fast * self.loop_s > 9.0:
                self._follow(draw_car(self.rng), path, CAR, (2.4, 0.95), 1.5)
                return
            path = Transit(path.start, path.end, path.laps, float(self.rng.random()) * path.laps)

    def _follow(
        self,
        look: Car | Bicycle | Person,
        path: Transit,
        class_id: int,
        footprint: tuple[float, float],
        height: float,
    ) -> None:
        """Cast one identical traveler for each lap: see Transit."""
        for lap in range(path.laps):
            route = Transit(path.start, path.end, path.laps, path.offset + lap)
            self.actors.append(Actor(look, route, class_id, footprint, height))

    def _ride(self, side: float) -> None:
        """Add a cyclist beside the cars."""
        x = side * (self.street.bike_at if self.street.bike_m else self.street.lane_m - 0.5)
        if not self.street.bike_m and any(
            a.class_id == CAR and isinstance(a.path, Transit) for a in self.actors
        ):
            # No room beside cars.
            x = side * (self.street.curb_at + 0.6 * self.street.pavement_m)
        x += float(self.rng.uniform(-0.25, 0.25))
        found = self._transit(x, side, float(self.rng.uniform(3.4, 5.2)), 1.0)
        if found is None:
            return
        path, speed = found
        turns = max(1, round(self.loop_s * speed / 4.5))
        bicycle = draw_bicycle(self.rng, turns)
        rider = draw_person(self.rng, 1, 0.0)
        self._follow(bicycle, path, BICYCLE, (0.9, 0.25), 1.05)
        for lap in range(path.laps):
            route = Transit(path.start, path.end, path.laps, path.offset + lap)
            self.actors.append(Actor(rider, route, PERSON, (0.5, 0.25), 1.85, crank_turns=turns))

    def _walk_along(self, side: float) -> None:
        """Add a person who walks or jogs on the pavement."""
        x = side * (self.street.curb_at + float(self.rng.uniform(0.25, 0.9)) * self.street.pavement_m)
        jog = self.rng.random() < 0.2
        found = self._transit(
            x, float(self.rng.choice([-1, 1])), 2.7 if jog else float(self.rng.uniform(1.1, 1.6)), 0.4
        )
        if found is not None:
            path, speed = found
            steps = max(1, round(self.loop_s * speed / (2.2 if jog else 1.45)))
            person = draw_person(self.rng, steps, 1.25 if jog else float(self.rng.uniform(0.85, 1.1)))
            self._follow(person, path, PERSON, (0.3, 0.25), person.height_m)

    def _stroll(self) -> None:
        """Add a person who walks in circles in view, on the pavement or over the street."""
        spot = self._free_spot(1.2, anywhere=self.rng.random() < 0.35)
        if spot is None:
            return
        rng = self.rng
        around = self.loop_s * float(rng.uniform(0.9, 1.3))
        long = around / 2 / np.pi * float(rng.uniform(1.0, 1.5))
        across = float(rng.uniform(0.4, 0.9))
        radii = (across, long) if rng.random() < 0.7 else (long * 0.6, long * 0.6)
        path = Circuit(spot, radii, float(rng.random()), int(rng.choice([-1, 1])))
        person = draw_person(rng, max(1, round(around / 1.4)), float(rng.uniform(0.75, 1.05)))
        self.actors.append(Actor(person, path, PERSON, (0.3, 0.25), person.height_m))

    def _wait(self) -> None:
        """Add a standing person, or a pair."""
        spot = self._free_spot(0.5, anywhere=False)
        if spot is None:
            return
        heading = float(self.rng.uniform(0, 2 * np.pi))
        pair = self.rng.random() < 0.35
        for turn in (0.0, np.pi) if pair else (0.0,):
            person = draw_person(self.rng, 1, float(self.rng.uniform(0.0, 0.25)))
            out = 0.45 if pair else 0.0
            x, y = spot[0] - out * np.cos(heading + turn), spot[1] - out * np.sin(heading + turn)
            path = Stay(float(x), float(y), heading + turn, sway=float(self.rng.uniform(0.05, 0.4)))
            self.actors.append(Actor(person, path, PERSON, (0.3, 0.25), person.height_m))

    def _park(self, crowd: float) -> None:
        """Park cars along the curb, if there is a strip for them."""
        street, rng = self.street, self.rng
        if not street.parking_m:
            return
        for side in (-1.0, 1.0):
            for slot in np.arange(-45.0, 60.0, 6.0):
                x, y = side * street.parking_at, float(slot + 3 + rng.uniform(-0.3, 0.3))
                if rng.random() < 0.55 * crowd and self._in_view(x, y) and self._clear(x, y, 2.6):
                    heading = np.pi / 2 * side * float(rng.choice([1, 1, 1, -1]))
                    self._place(Actor(draw_car(rng), Stay(x, y, heading), CAR, (2.4, 0.95), 1.5), 2.6)

    def _furnish(self) -> None:
        """Add lamps at regular distances, other things at random, and parked bicycles."""
        street, rng = self.street, self.rng
        for side in (-1.0, 1.0):
            for y in np.arange(-40.0, 70.0, street.lamps_every_m):
                x, shifted = side * (street.curb_at + 0.45), float(y + (side + 1) * street.lamps_every_m / 4)
                if self._clear(x, shifted, 0.5):
                    heading = 0.0 if side < 0 else np.pi
                    self._place(
                        Actor(
                            Prop("lamp_post", int(rng.integers(1 << 30))),
                            Stay(x, shifted, heading),
                            NOTHING,
                            (0.15, 0.15),
                            5.8,
                        ),
                        0.4,
                    )
        kinds = ["sign", "tree", "bin", "bench", "bollard", "post_box", "hedge", "cone", "rack"]
        for _ in range(int(rng.integers(3, 16))):
            spot = self._free_spot(0.9, anywhere=False)
            if spot is not None:
                prop = Prop(str(rng.choice(kinds)), int(rng.integers(1 << 30)))
                self._place(Actor(prop, Stay(*spot, self._square()), NOTHING, (0.4, 0.4), 1.5), 0.9)
        if rng.random() < 0.3 and (spot := self._free_spot(2.2, anywhere=False)) is not None:
            self._place(
                Actor(
                    Prop("container", int(rng.integers(1 << 30))),
                    Stay(*spot, np.pi / 2),
                    NOTHING,
                    (2, 0.9),
                    1.6,
                ),
                2.3,
            )
        for _ in range(int(rng.binomial(7, 0.4))):
            spot = self._free_spot(1.0, anywhere=False)
            if spot is not None:
                self._place(
                    Actor(
                        draw_bicycle(rng, 1),
                        Stay(*spot, float(rng.uniform(0, 2 * np.pi))),
                        BICYCLE,
                        (0.9, 0.25),
                        1.05,
                    ),
                    1.0,
                )

    def _square(self) -> float:
        return float(self.rng.integers(4)) * np.pi / 2 + float(self.rng.normal(0, 0.1))

    def _place(self, actor: Actor, radius: float) -> None:
        place = actor.path.at(0.0)
        self.actors.append(actor)
        self._taken.append((place.x, place.y, radius))

    def _clear(self, x: float, y: float, radius: float) -> bool:
        near_camera = np.hypot(x - self.camera.position[0], y - self.camera.position[1]) < radius + 3.0
        return not near_camera and all(np.hypot(x - a, y - b) > radius + r for a, b, r in self._taken)

    def _in_view(self, x: float, y: float) -> bool:
        uv, depth = self.camera.project(np.array([x, y, 0.8]))
        width, height = self.camera.size_wh
        return bool(
            1.5 < depth < 60 and -0.3 * width < uv[0] < 1.3 * width and -0.3 * height < uv[1] < 1.4 * height
        )

    def _free_spot(self, radius: float, *, anywhere: bool) -> tuple[float, float] | None:
        """Return a free place in view: on a pavement, or `anywhere` except in the houses."""
        street, rng = self.street, self.rng
        for _ in range(24):
            depth = float(rng.triangular(4, 9, 34))
            width, _ = self.camera.size_wh
            aside = float(rng.uniform(-0.5, 0.5)) * width / self.camera.focal_px * depth
            right, _, forward = self.camera.axes
            level = forward[:2] / np.hypot(*forward[:2])
            x, y = self.camera.position[:2] + level * depth + right[:2] * aside
            if abs(x) > street.walls_at - 0.4 or (not anywhere and abs(x) < street.curb_at + 0.3):
                continue
            if self._in_view(float(x), float(y)) and self._clear(float(x), float(y), radius):
                return float(x), float(y)
        return None
