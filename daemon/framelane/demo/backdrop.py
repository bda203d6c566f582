"""The still part of a street: sky, ground, markings and houses, painted once."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from framelane.demo.canvas import Canvas, Layer

if TYPE_CHECKING:
    from framelane.demo.atmosphere import Atmosphere
    from framelane.demo.camera import Camera, FloatArray

_FAR_M = 160.0


@dataclass(frozen=True, slots=True)
class Street:
    """Where things are across the street: distances in meters from its middle, the same on both sides."""

    # Width of one car lane.
    lane_m: float
    # Width of the bicycle lane, 0 for none.
    bike_m: float
    # Width of the parking strip, 0 for none.
    parking_m: float
    pavement_m: float
    lamps_every_m: float

    @property
    def bike_at(self) -> float:
        """Middle of the bicycle lane."""
        return self.lane_m + self.bike_m / 2

    @property
    def curb_at(self) -> float:
        """Edge of the pavement."""
        return self.lane_m + self.bike_m + self.parking_m

    @property
    def parking_at(self) -> float:
        """Middle of the parking strip."""
        return self.curb_at - self.parking_m / 2

    @property
    def walls_at(self) -> float:
        """Where the houses begin."""
        return self.curb_at + self.pavement_m


def draw_street(rng: np.random.Generator) -> Street:
    """Choose the widths."""
    return Street(
        lane_m=float(rng.uniform(2.9, 3.7)),
        bike_m=1.8 if rng.random() < 0.6 else 0.0,
        parking_m=2.2 if rng.random() < 0.55 else 0.0,
        pavement_m=float(rng.uniform(2.8, 6.0)),
        lamps_every_m=float(rng.uniform(14, 24)),
    )


def paint_sky(canvas: Canvas, camera: Camera, air: Atmosphere, rng: np.random.Generator) -> None:
    """Fill the whole image with a gradient that ends at the horizon, with clouds by day."""
    height, width = canvas.image.shape[:2]
    horizon = camera.horizon_px()
    down = np.clip((np.arange(height) - (horizon - 0.6 * height)) / (0.6 * height), 0, 1)[:, None]
    column = air.sky_top * (1 - down) + air.sky_low * down
    canvas.image[:] = np.repeat(column[:, None], width, axis=1).astype(np.uint8)
    if horizon < 0.05 * height or air.weather == "fog":
        return
    coarse = rng.random((6, 10)).astype(np.float32)
    fine = rng.random((24, 40)).astype(np.float32)
    cloud = 0.65 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    cloud += 0.35 * cv2.resize(fine, (width, height), interpolation=cv2.INTER_CUBIC)
    strength = np.clip((cloud - 0.52) * 3, 0, 0.75)[..., None]
    tone = air.sky_low * (1.06 if air.time == "day" else 0.9)
    canvas.image[:] = np.clip(canvas.image * (1 - strength) + tone * strength, 0, 255).astype(np.uint8)


def paint_ground(canvas: Canvas, camera: Camera, street: Street, rng: np.random.Generator) -> None:
    """Paint the strips of the street over everything below the horizon, without light or haze."""
    height = canvas.image.shape[0]
    horizon = int(np.clip(camera.horizon_px(), 0, height))
    verge = (
        rng.uniform(80, 130, 3).mean() * np.array([0.75, 1.0, 0.85])
        if rng.random() < 0.4
        else np.full(3, 150.0)
    )
    canvas.image[horizon:] = verge.astype(np.uint8)
    asphalt = rng.uniform(70, 118) * rng.uniform(0.96, 1.04, 3)
    paving = rng.uniform(125, 182) * rng.uniform(0.93, 1.05, 3)
    bike = np.array([70, 75, 150.0]) if rng.random() < 0.4 else asphalt * 0.94
    strips = [
        (street.walls_at, paving),
        (street.curb_at + 0.18, paving * 1.2),
        (street.curb_at, asphalt * 0.93),
    ]
    if street.bike_m:
        strips.append((street.lane_m + street.bike_m, bike))
    strips.append((street.lane_m, asphalt))
    quads = np.stack([_strip(-half, half) for half, _ in strips])
    lines = _markings(street)
    canvas.paint(
        [Layer(camera.polygons(quads), np.array([c for _, c in strips]))], np.ones(3), np.zeros(3), 1.0
    )
    canvas.paint(
        [Layer(camera.polygons(lines), np.full((len(lines), 3), 215.0))], np.ones(3), np.zeros(3), 1.0
    )


def _strip(left: float, right: float, start: float = -_FAR_M, end: float = _FAR_M) -> FloatArray:
    return np.array([(left, start, 0.0), (right, start, 0.0), (right, end, 0.0), (left, end, 0.0)])


def _markings(street: Street) -> FloatArray:
    """Return dashes in the middle, edge lines of the lanes and a zebra crossing: quads [P, 4, 3]."""
    quads = [_strip(-0.07, 0.07, y, y + 2.5) for y in np.arange(-60.0, 90.0, 6.0)]
    edges = [street.lane_m] + ([street.lane_m + street.bike_m] if street.bike_m and street.parking_m else [])
    quads += [_strip(s * e - 0.06, s * e + 0.06) for e in edges for s in (-1.0, 1.0)]
    quads += [
        _strip(x, x + 0.5, 14.0, 17.5) for x in np.arange(-street.lane_m + 0.2, street.lane_m - 0.4, 1.0)
    ]
    if street.parking_m:
        low, high = street.curb_at - street.parking_m, street.curb_at
        quads += [
            _strip(s * low, s * high, y, y + 0.1) for y in np.arange(-48.0, 60.0, 6.0) for s in (-1.0, 1.0)
        ]
    return np.stack(quads)


def light_ground(
    canvas: Canvas, camera: Camera, air: Atmosphere, lamps: FloatArray, rng: np.random.Generator
) -> None:
    """Add grain, the lamps' [L, 2] pools of light and the haze of distance to the ground, in place."""
    height, width = canvas.image.shape[:2]
    x, y, depth = camera.ground(2)
    grain = _grain(rng)
    size = grain.shape[0]
    map_x = np.mod(np.clip(x, -1e4, 1e4) * 24, size).astype(np.float32)
    map_y = np.mod(np.clip(y, -1e4, 1e4) * 24, size).astype(np.float32)
    texture = cv2.remap(grain, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    fade = np.exp(-np.minimum(depth, 1e3) / 25)[:, None]
    light = lamp_light(air, lamps, x, y) * (1 + (texture - 1) * fade)[..., None]
    clarity = air.clarity(depth)[:, None, None]
    haze = np.broadcast_to((1 - clarity) * air.sky_low, light.shape)
    big_gain = cv2.resize((light * clarity).astype(np.float32), (width, height))
    big_haze = cv2.resize(haze.astype(np.float32), (width, height))
    top = int(np.clip(camera.horizon_px(), 0, height))
    lit = canvas.image[top:] * big_gain[top:] + big_haze[top:]
    canvas.image[top:] = np.clip(lit, 0, 255).astype(np.uint8)


def _grain(rng: np.random.Generator) -> FloatArray:
    """Return a tile [256, 256] of blotches and grit around 1."""
    tile = np.ones((256, 256), np.float32)
    for cells, weight in ((4, 0.10), (16, 0.08), (64, 0.06), (256, 0.10)):
        noise = rng.normal(0, weight, (cells, cells)).astype(np.float32)
        tile += cv2.resize(noise, (256, 256), interpolation=cv2.INTER_LINEAR)
    return tile.astype(np.float64)


def lamp_light(air: Atmosphere, lamps: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the light [..., 3] at places x, y (meters): from the sky and from the lamps [L, 2]."""
    light = np.broadcast_to(air.ambient, (*np.shape(x), 3)).copy()
    if air.lamps_on:
        pool = np.zeros(np.shape(x))
        for lamp_x, lamp_y in lamps:
            pool += np.exp(-((x - lamp_x) ** 2 + (y - lamp_y) ** 2) / 40.0)
        light += np.minimum(pool, 1.2)[..., None] * np.array([0.36, 0.50, 0.58])
    return light


def paint_houses(
    canvas: Canvas, camera: Camera, street: Street, air: Atmosphere, rng: np.random.Generator
) -> None:
    """Paint houses along both sides, far ones first, except where they would block the camera."""
    sides = [s for s in (-1.0, 1.0) if (street.walls_at - s * camera.position[0]) > 1.0]
    houses: list[tuple[float, float, float, float]] = []
    for side in sides:
        start = -60.0
        while start < 110.0:
            length = float(rng.uniform(7, 18))
            if rng.random() < 0.86:
                houses.append((side, start, start + length, float(rng.uniform(5, 17))))
            start += length + (float(rng.uniform(2, 8)) if rng.random() < 0.2 else 0.0)
    looks = [
        (rng.uniform(0.75, 1.15) * np.array(_WALLS[rng.integers(len(_WALLS))]), int(rng.integers(1 << 30)))
        for _ in houses
    ]

    def distance(i: int) -> float:
        return float(
            np.hypot(
                (houses[i][1] + houses[i][2]) / 2 - camera.position[1],
                street.walls_at - camera.position[0] * houses[i][0],
            )
        )

    for i in sorted(range(len(houses)), key=distance, reverse=True):
        _paint_house(canvas, camera, street, air, houses[i], looks[i])


_WALLS = [
    (120, 150, 178),
    (150, 165, 175),
    (95, 115, 165),
    (175, 190, 200),
    (130, 130, 135),
    (100, 130, 150),
    (150, 140, 120),
    (80, 90, 130),
]


def _paint_house(
    canvas: Canvas,
    camera: Camera,
    street: Street,
    air: Atmosphere,
    place: tuple[float, float, float, float],
    look: tuple[FloatArray, int],
) -> None:
    """Paint one facade, its two end walls, windows and a door; `place` is (side, start, end, height)."""
    side, start, end, height = place
    rng = np.random.default_rng(look[1])
    x = side * street.walls_at
    back = x + side * 9
    walls = np.array(
        [
            [(x, start, 0), (back, start, 0), (back, start, height), (x, start, height)],
            [(x, end, 0), (back, end, 0), (back, end, height), (x, end, height)],
            [(x, start, 0), (x, end, 0), (x, end, height), (x, start, height)],
        ],
        np.float64,
    )
    depth = float(np.hypot((start + end) / 2 - camera.position[1], x - camera.position[0]))
    clarity = float(air.clarity(np.array(depth)))
    tones = look[0] * np.array([[0.68], [0.76], [1.0]])
    facing = np.array([camera.position[1] < start, camera.position[1] > end, True])
    shown = [Layer(camera.polygons(walls[facing]), tones[facing])]
    panes = _panes(rng, x - side * 0.02, start, end, height)
    dark = rng.uniform(35, 75) * np.array([1.1, 1.0, 0.9])
    colors = np.where(rng.random(len(panes))[:, None] < 0.12, dark * 1.8, dark)
    shown.append(Layer(camera.polygons(panes), colors))
    light = air.ambient * rng.uniform(0.9, 1.05)
    canvas.paint(shown, light, air.sky_low, clarity)
    if air.lamps_on:
        warm = rng.random(len(panes)) < 0.3
        if warm.any():
            shine = Layer(
                camera.polygons(panes[warm]),
                np.tile(np.array([110.0, 190.0, 235.0]), (int(warm.sum()), 1)),
                glowing=True,
            )
            canvas.paint([shine], light, air.sky_low, clarity * 0.9)


def _panes(rng: np.random.Generator, x: float, start: float, end: float, height: float) -> FloatArray:
    """Return window and door quads [P, 4, 3] of a facade in the plane x."""
    floor_m, gap = rng.uniform(2.8, 3.4), rng.uniform(2.0, 3.4)
    wide, tall = rng.uniform(0.9, min(1.7, gap - 0.5)), rng.uniform(1.2, 1.9)
    spots = [
        (y, z + 0.9)
        for z in np.arange(floor_m, height - 2.2, floor_m)
        for y in np.arange(start + 1, end - wide - 0.5, gap)
    ]
    quads = [[(x, y, z), (x, y + wide, z), (x, y + wide, z + tall), (x, y, z + tall)] for y, z in spots]
    door = rng.uniform(start + 0.8, end - 2)
    quads.append([(x, door, 0), (x, door + 1.1, 0), (x, door + 1.1, 2.2), (x, door, 2.2)])
    shop = rng.random() < 0.5
    low, high = (0.5, 2.5) if shop else (1.0, 1.0 + tall)
    step = 3.0 if shop else gap
    quads.extend(
        [(x, y, low), (x, y + step - 0.7, low), (x, y + step - 0.7, high), (x, y, high)]
        for y in np.arange(start + 0.8, end - step + 0.2, step)
        if abs(y + step / 2 - door) > step * 0.8
    )
    return np.array(quads, np.float64)
