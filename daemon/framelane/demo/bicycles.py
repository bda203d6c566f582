"""Bicycles: two ringed wheels, a frame of tubes, saddle and handlebar, with lights at night."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.demo.canvas import Layer, capsules

if TYPE_CHECKING:
    from framelane.demo.camera import Camera, FloatArray

_RING = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_WHEEL = np.stack([np.cos(_RING), np.zeros(20), np.sin(_RING)], axis=-1)

# Tubes in (ahead, left, up) meters from the point on the ground between the wheels.
_AXLES = {"rear": (-0.53, 0, 0.34), "front": (0.53, 0, 0.34)}
_TUBES: list[tuple[tuple[float, float, float], tuple[float, float, float], float]] = [
    ((-0.53, 0, 0.34), (-0.03, 0, 0.3), 0.017),  # chain stay
    ((-0.53, 0, 0.34), (-0.19, 0, 0.78), 0.015),  # seat stay
    ((-0.03, 0, 0.3), (-0.22, 0, 0.92), 0.02),  # seat tube
    ((-0.17, 0, 0.74), (0.34, 0, 0.84), 0.02),  # top tube
    ((-0.03, 0, 0.3), (0.37, 0, 0.74), 0.024),  # down tube
    ((0.35, 0, 0.9), (0.53, 0, 0.34), 0.02),  # fork
]
_FITTINGS: list[tuple[tuple[float, float, float], tuple[float, float, float], float]] = [
    ((-0.34, 0, 0.95), (-0.12, 0, 0.95), 0.04),  # saddle
    ((0.35, 0, 0.86), (0.34, 0, 1.02), 0.018),  # stem
    ((0.38, 0.27, 1.02), (0.38, -0.27, 1.02), 0.02),  # handlebar
    ((-0.03, 0, 0.3), (-0.02, 0, 0.3), 0.075),  # chain wheel
]
_BASKET = ((0.55, 0, 0.92), (0.55, 0, 0.78), 0.15)


@dataclass(frozen=True, slots=True)
class Bicycle:
    """The look of a bicycle; colors are BGR."""

    paint: FloatArray
    tire: FloatArray
    saddle: FloatArray
    basket: bool
    mudguards: bool
    # Whole turns of the crank in one loop.
    turns: int


def draw_bicycle(rng: np.random.Generator, turns: int) -> Bicycle:
    """Choose paint and fittings."""
    return Bicycle(
        paint=rng.uniform(15, 235, 3),
        tire=rng.uniform(18, 60, 3).mean() * np.ones(3),
        saddle=np.array([25, 35, 50]) * rng.uniform(0.6, 2.2),
        basket=bool(rng.random() < 0.25),
        mudguards=bool(rng.random() < 0.4),
        turns=turns,
    )


def bicycle_layers(camera: Camera, bicycle: Bicycle, frame: FloatArray) -> list[Layer]:
    """Return the bicycle; `frame` [4, 3] is its (ahead, left, up) axes and its place on the ground."""
    axes, place = frame[:3], frame[3]
    depth = float(camera.project(place)[1])
    if depth < 1.0:
        return []
    per_meter = camera.focal_px / depth
    rings = np.stack([(_WHEEL * 0.335 + np.array(axle)) @ axes + place for axle in _AXLES.values()])
    rims = np.stack([(_WHEEL * 0.29 + np.array(axle)) @ axes + place for axle in _AXLES.values()])
    layers = [Layer(camera.polygons(rings), np.tile(bicycle.tire, (2, 1)), max(1, round(0.05 * per_meter)))]
    # From further away they are too fine to see.
    if per_meter > 45:
        layers.append(_spokes(rims, bicycle, camera, per_meter))
    tubes = _TUBES + _FITTINGS + ([_BASKET] if bicycle.basket else [])
    ends = np.array([(a, b) for a, b, _ in tubes], np.float64) @ axes + place
    # A tube keeps 1.4 pixels, because a lens would blur it.
    least = 0.7 / per_meter
    radii = np.maximum(np.array([(r, r) for *_, r in tubes]), least)
    colors = np.array([bicycle.paint] * 6 + [bicycle.saddle] * 4 + [bicycle.saddle * 1.6] * bicycle.basket)
    layers.append(capsules(camera, ends, radii, colors))
    if bicycle.mudguards:
        arcs = rings[:, 2:9]
        closed = np.concatenate([arcs, arcs[:, ::-1] + np.array([0, 0, 0.02])], axis=1)
        layers.append(Layer(camera.polygons(closed), np.tile(bicycle.paint, (2, 1)), 1))
    return layers


def _spokes(rims: FloatArray, bicycle: Bicycle, camera: Camera, per_meter: float) -> Layer:
    """Return four diameters in each wheel, as thin slivers."""
    first, second = rims[:, [0, 3, 5, 8]], rims[:, [10, 13, 15, 18]]
    sliver = np.stack([first, second, second], axis=2).reshape(-1, 3, 3)
    color = np.tile(np.full(3, 120.0) * 0.6 + bicycle.tire * 0.4, (len(sliver), 1))
    return Layer(camera.polygons(sliver), color, stroke_px=1 if per_meter < 150 else 2, solid=False)
