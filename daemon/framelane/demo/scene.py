"""A rendered street that moves, loops and knows the position of every object."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from framelane.demo import backdrop
from framelane.demo.atmosphere import Precipitation, SensorNoise, draw_atmosphere
from framelane.demo.camera import Camera, FloatArray
from framelane.demo.canvas import Canvas, Image, Layer, bounds
from framelane.demo.cars import Car, lamp_points
from framelane.demo.cast import CLASS_NAMES, NOTHING, Actor, Casting
from framelane.demo.furniture import Prop
from framelane.demo.paths import Transit
from framelane.demo.people import Person
from framelane.demo.truth import GroundTruth, Measured, ground_truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLASS_NAMES", "HELD_OUT_SEEDS", "RENDERER_VERSION", "GroundTruth", "Scene"]

RENDERER_VERSION = 2
"""Raise this whenever a seed gives other pixels or another truth; it is in the names of cached clips."""

HELD_OUT_SEEDS = range(1_000_000)
"""Scenes for the demo, tests and measurements. Training uses seeds after this range."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Fixture:
    """A still actor's silhouette, kept because it is painted into the backdrop once."""

    # Within the image.
    clip: Box
    # 0/1 over `clip`.
    mask: Image
    # Pixels of the whole silhouette, also outside the image.
    area: float


class Scene:
    """A street drawn from a seed: the same seed, size and time always give the same pixels.

    All motion returns to its start after `loop_s`, so that a clip of that length loops without a seam.
    """

    def __init__(
        self, seed: int, size_wh: tuple[int, int] = (640, 480), fps: float = 15.0, loop_s: float = 12.0
    ) -> None:
        """Cast the scene and paint its still part."""
        rng = np.random.default_rng(seed)
        self.seed, self.size_wh, self.fps, self.loop_s = seed, size_wh, fps, loop_s
        self.street = backdrop.draw_street(rng)
        self.camera = _draw_camera(rng, self.street, size_wh)
        self.air = draw_atmosphere(rng)
        self.actors = Casting(rng, self.camera, self.street, loop_s).fill()
        self.precipitation = Precipitation(rng, self.air.weather, size_wh, loop_s)
        night = 1.8 if self.air.lamps_on else 1.0
        self._noise = SensorNoise(rng, size_wh, float(rng.uniform(0.6, 2.8)) * night)
        self._blur_px = float(rng.uniform(0.0, 0.95)) * max(size_wh) / 640
        self._lamps = self._lamp_places()
        self._canvas = Canvas(size_wh)
        self._fixtures: dict[int, _Fixture] = {}
        self._paint_backdrop(rng)

    def render(self, t_s: float, hide: frozenset[int] = frozenset()) -> tuple[Image, GroundTruth]:
        """Return the image [H, W, 3] BGR and its truth at a time in seconds; `hide` omits moving actors."""
        phase = (t_s / self.loop_s) % 1.0
        canvas = self._canvas
        np.copyto(canvas.image, self._backdrop)
        canvas.owners[:] = 0
        self._cast_shadows([a for a in self.actors if not a.still], phase, canvas.image)
        measured = self._paint_actors(phase, hide)
        self._shine(phase)
        image = self._develop(canvas.image, phase)
        return image, ground_truth(measured, canvas.owners)

    def _paint_backdrop(self, rng: np.random.Generator) -> None:
        """Paint sky, ground, houses and still actors, far to near, and keep the still actors' silhouettes."""
        canvas, camera = self._canvas, self.camera
        backdrop.paint_sky(canvas, camera, self.air, rng)
        backdrop.paint_ground(canvas, camera, self.street, rng)
        backdrop.light_ground(canvas, camera, self.air, self._lamps, rng)
        backdrop.paint_houses(canvas, camera, self.street, self.air, rng)
        shade = cv2.convertScaleAbs(canvas.image, alpha=self.air.shadow_gain)
        self._shaded = np.asarray(shade, np.uint8)
        still = [i for i, actor in enumerate(self.actors) if actor.still]
        self._cast_shadows([self.actors[i] for i in still], 0.0, canvas.image)
        for i in sorted(still, key=lambda i: -self._depth(self.actors[i], 0.0)):
            layers = self.actors[i].layers(camera, 0.0, lights_on=False)
            box = bounds(layers)
            clip = canvas.frame_clip(box) if box else (0, 0, 0, 0)
            if box is None or clip[2] <= clip[0] or clip[3] <= clip[1]:
                continue
            self._paint(self.actors[i], layers, 0.0)
            wide = canvas.scratch_clip(box)
            mask = canvas.silhouette(layers, wide)
            inside = mask[clip[1] - wide[1] : clip[3] - wide[1], clip[0] - wide[0] : clip[2] - wide[0]]
            self._fixtures[i] = _Fixture(clip, inside.copy(), float(cv2.countNonZero(mask)))
        self._shaded = np.asarray(cv2.convertScaleAbs(canvas.image, alpha=self.air.shadow_gain), np.uint8)
        self._backdrop = canvas.image.copy()

    def _paint_actors(self, phase: float, hide: frozenset[int]) -> list[Measured]:
        """Paint far to near.

        A still actor is restored from the backdrop after an object has passed behind it.
        """
        depths = [self._depth(actor, phase) for actor in self.actors]
        measured: list[Measured] = []
        for i in sorted(range(len(self.actors)), key=lambda i: -depths[i]):
            actor = self.actors[i]
            if not actor.still:
                if depths[i] > 0.5 and i not in hide:
                    self._paint_mover(i, phase, measured)
            elif i in self._fixtures:
                self._restore(i)
                if actor.class_id != NOTHING:
                    fixture = self._fixtures[i]
                    measured.append(Measured(i, actor.class_id, fixture.clip, fixture.area))
        return measured

    def _paint_mover(self, i: int, phase: float, measured: list[Measured]) -> None:
        actor, canvas = self.actors[i], self._canvas
        layers = actor.layers(self.camera, phase, lights_on=self.air.lamps_on)
        box = bounds(layers)
        if box is None:
            return
        clip = canvas.frame_clip(box)
        if clip[2] <= clip[0] or clip[3] <= clip[1]:
            return
        self._paint(actor, layers, phase)
        wide = canvas.scratch_clip(box)
        mask = canvas.silhouette(layers, wide)
        inside = mask[clip[1] - wide[1] : clip[3] - wide[1], clip[0] - wide[0] : clip[2] - wide[0]]
        owners = canvas.owners[clip[1] : clip[3], clip[0] : clip[2]]
        np.copyto(owners, np.uint8(i + 1), where=inside.view(np.bool_))
        measured.append(Measured(i, actor.class_id, clip, float(cv2.countNonZero(mask))))

    def _paint(self, actor: Actor, layers: list[Layer], phase: float) -> None:
        place = actor.path.at(phase)
        light = backdrop.lamp_light(self.air, self._lamps, np.array(place.x), np.array(place.y))
        if self.air.lamps_on and not isinstance(actor.look, Prop):
            light = light * 1.12
        clarity = float(self.air.clarity(np.array(self._depth(actor, phase))))
        self._canvas.paint(layers, light, self.air.sky_low, clarity)

    def _restore(self, i: int) -> None:
        """Put a still actor in front of what was painted so far."""
        fixture, canvas = self._fixtures[i], self._canvas
        x1, y1, x2, y2 = fixture.clip
        owners = canvas.owners[y1:y2, x1:x2]
        owner = 0 if self.actors[i].class_id == NOTHING else i + 1
        if owner == 0 and not owners.any() and self.air.shadow_xy is None:
            return
        cv2.copyTo(self._backdrop[y1:y2, x1:x2], fixture.mask, canvas.image[y1:y2, x1:x2])
        np.copyto(owners, np.uint8(owner), where=fixture.mask.view(np.bool_))

    def _cast_shadows(self, actors: list[Actor], phase: float, image: Image) -> None:
        """Darken the ground under and beside the actors."""
        outlines = [outline for actor in actors for outline in self._shadow(actor, phase) if len(outline) > 2]
        if not outlines:
            return
        where = np.zeros(image.shape[:2], np.uint8)
        for outline in outlines:
            cv2.fillConvexPoly(where, outline, 255, cv2.LINE_8, 4)
        cv2.copyTo(self._shaded, where, image)

    def _shadow(self, actor: Actor, phase: float) -> list[NDArray[np.int32]]:
        """Return the outline of the shadow on the ground: the footprint extended away from the sun."""
        frame = actor.frame(phase)
        if actor.crank_turns is not None or not -1 < self._depth(actor, phase) < 90:
            return []
        half_length, half_width = actor.footprint_m
        corners = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) * (half_length, half_width)
        ground = corners @ frame[:2] + frame[3]
        if self.air.shadow_xy is None:
            return self.camera.polygons(ground[None])
        far = ground * 1.0
        far[:, :2] += np.array(self.air.shadow_xy) * min(actor.height_m, 4.0)
        both = np.concatenate([ground, far])[:, :2].astype(np.float32)
        hull = cv2.convexHull(both)[:, 0].astype(np.float64)
        return self.camera.polygons(np.concatenate([hull, np.zeros((len(hull), 1))], axis=1)[None])

    def _shine(self, phase: float) -> None:
        """Add the light of lamps and headlights to the air around them."""
        if not self.air.lamps_on:
            return
        for x, y in self._lamps:
            self._glow(np.array([x, y, 5.7]), (150.0, 190.0, 205.0), 0.8)
        for actor in self.actors:
            if isinstance(actor.look, Car) and isinstance(actor.path, Transit):
                frame = actor.frame(phase)
                ahead = float(frame[0] @ (self.camera.position - frame[3])) > 0
                points = lamp_points(actor.look, ahead=ahead) @ frame[:3] + frame[3]
                for point in points:
                    self._glow(
                        point, (165.0, 190.0, 200.0) if ahead else (20.0, 20.0, 120.0), 0.75 if ahead else 0.4
                    )

    def _glow(self, xyz: FloatArray, color: tuple[float, float, float], radius_m: float) -> None:
        uv, depth = self.camera.project(xyz)
        if 1.0 < depth < 70:
            self._canvas.glow(uv, (radius_m * self.camera.focal_px / float(depth),) * 2, color)

    def _develop(self, image: Image, phase: float) -> Image:
        """Turn the painted scene into a camera's image: rain in front of it, soft, grainy."""
        self.precipitation.fall(image, phase)
        if self._blur_px > 0.3:
            image = np.asarray(cv2.GaussianBlur(image, (5, 5), self._blur_px), np.uint8)
        else:
            image = image.copy()
        self._noise.add(image, round(phase * self.loop_s * self.fps))
        return image

    def _depth(self, actor: Actor, phase: float) -> float:
        """Return the distance along the view in meters; a rider is slightly nearer than the bicycle."""
        place = actor.path.at(phase)
        depth = float((np.array([place.x, place.y, 0.0]) - self.camera.position) @ self.camera.axes[2])
        return depth - 0.02 * isinstance(actor.look, Person)

    def _lamp_places(self) -> FloatArray:
        places = [
            a.path.at(0.0) for a in self.actors if isinstance(a.look, Prop) and a.look.kind == "lamp_post"
        ]
        return np.array([(p.x + np.cos(p.heading), p.y) for p in places]).reshape(-1, 2)


def _draw_camera(rng: np.random.Generator, street: backdrop.Street, size_wh: tuple[int, int]) -> Camera:
    """Place the camera on the street or above it, looking at a spot on it."""
    view = np.deg2rad(rng.uniform(48, 84))
    focal_px = max(size_wh) / 2 / np.tan(view / 2)
    height = float(rng.uniform(2.3, 4.5) if rng.random() < 0.6 else rng.uniform(4.5, 8.0))
    x = float(rng.uniform(-0.95, 0.95)) * street.walls_at
    along = float(rng.uniform(7, 22) if rng.random() < 0.7 else rng.uniform(-4, 5))
    target_x = float(rng.uniform(-0.7, 0.7)) * street.curb_at
    # A view across, from one side to the other.
    if abs(along) < 7:
        x = street.walls_at * float(rng.choice([-1, 1])) * float(rng.uniform(0.85, 1.15))
        target_x = -np.sign(x) * float(rng.uniform(0, 0.4)) * street.curb_at
    return Camera(size_wh, float(focal_px), (x, 0.0, height), (target_x, along, float(rng.uniform(0.0, 1.8))))
