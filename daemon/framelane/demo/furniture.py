"""Street furniture: trees, lamps, signs, bins and so on, which hide objects and look slightly like them."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.demo.canvas import Layer, capsules

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.demo.camera import Camera, FloatArray

Limb = tuple[tuple[float, float, float], tuple[float, float, float], float, float, tuple[float, float, float]]

_ROUND = np.linspace(0, 2 * np.pi, 16, endpoint=False)


@dataclass(frozen=True, slots=True)
class Prop:
    """A piece of furniture: its kind (a key of PROPS) and the seed of its look."""

    kind: str
    seed: int


def prop_layers(camera: Camera, prop: Prop, frame: FloatArray) -> list[Layer]:
    """Return the prop; `frame` [4, 3] is its (ahead, left, up) axes and its place on the ground."""
    return PROPS[prop.kind](camera, frame, np.random.default_rng(prop.seed))


def _limbs(camera: Camera, frame: FloatArray, limbs: list[Limb]) -> Layer:
    ends = np.array([(a, b) for a, b, *_ in limbs], np.float64) @ frame[:3] + frame[3]
    radii = np.array([(r, s) for _, _, r, s, _ in limbs])
    return capsules(camera, ends, radii, np.array([color for *_, color in limbs], np.float64))


def _gray(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    return (float(rng.uniform(low, high)),) * 3


def _paint(rng: np.random.Generator) -> tuple[float, float, float]:
    blue, green, red = rng.uniform(25, 220, 3).tolist()
    return blue, green, red


def _box(
    camera: Camera, frame: FloatArray, size: tuple[float, float, float], color: FloatArray, base: float = 0.0
) -> Layer:
    """Return the visible faces of a box of (ahead, left, up) meters, `base` meters above the ground."""
    hx, hy = size[0] / 2, size[1] / 2
    low, high = base, base + size[2]
    eye = frame[:3] @ (camera.position - frame[3])
    sx, sy = np.sign(eye[0]) * hx, np.sign(eye[1]) * hy
    faces = np.array(
        [
            [(sx, -hy, low), (sx, hy, low), (sx, hy, high), (sx, -hy, high)],
            [(-hx, sy, low), (hx, sy, low), (hx, sy, high), (-hx, sy, high)],
            [(-hx, -hy, high), (hx, -hy, high), (hx, hy, high), (-hx, hy, high)],
        ]
    )
    shown = np.array([abs(eye[0]) > hx, abs(eye[1]) > hy, eye[2] > high])
    tones = color * np.array([[0.78], [0.9], [1.06]])
    return Layer(camera.polygons(faces[shown] @ frame[:3] + frame[3]), tones[shown])


def _lamp_post(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    tone = _gray(rng, 40, 110)
    return [
        _limbs(camera, frame, [
            ((0, 0, 0), (0, 0, 5.6), 0.1, 0.06, tone),
            ((0, 0, 5.6), (1.0, 0, 5.8), 0.05, 0.05, tone),
            ((0.7, 0, 5.78), (1.3, 0, 5.82), 0.1, 0.08, (200, 205, 205)),
        ])
    ]  # fmt: skip


def _sign(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    corners = int(rng.choice([3, 4, 16]))
    turn = {3: np.pi / 2, 4: np.pi / 4, 16: 0.0}[corners]
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
    plate = np.stack([np.full(corners, 0.04), np.cos(angle), np.sin(angle)], axis=-1)
    rim = plate * np.array([1, 0.34, 0.34]) + np.array([0, 0, 2.2])
    inner = plate * np.array([1, 0.25, 0.25]) + np.array([0.01, 0, 2.2])
    outlines = camera.polygons(np.stack([rim, inner]) @ frame[:3] + frame[3])
    colors = np.array([_paint(rng), rng.choice([(235, 235, 235), (190, 90, 30), (60, 200, 235)])])
    pole = _limbs(camera, frame, [((0, 0, 0), (0, 0, 2.5), 0.035, 0.035, _gray(rng, 100, 170))])
    return [pole, Layer(outlines, colors)]


def _tree(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    tall = float(rng.uniform(3.5, 7))
    leaf = np.array([55.0, 105.0, 70.0]) * rng.uniform(0.6, 1.2, 3)
    bark = (45 * rng.uniform(0.7, 1.5), 60.0, 75.0)
    crown: list[Limb] = []
    for height in np.linspace(0.45, 0.95, 12):
        angle, out = rng.uniform(0, 2 * np.pi), tall * 0.2 * float(rng.uniform(0.1, 1))
        middle = (float(np.cos(angle) * out), float(np.sin(angle) * out), float(tall * height))
        tone = leaf * (0.65 + 0.5 * height) * rng.uniform(0.85, 1.1)
        radius = tall * float(rng.uniform(0.09, 0.17))
        crown.append(
            (
                middle,
                (middle[0], middle[1], middle[2] + 0.1),
                radius,
                radius * 0.9,
                (tone[0], tone[1], tone[2]),
            )
        )
    trunk: Limb = ((0, 0, 0), (0, 0, tall * 0.6), 0.028 * tall, 0.016 * tall, bark)
    return [_limbs(camera, frame, [trunk, *crown])]


def _bin(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    color, tall = np.array(_paint(rng)), float(rng.uniform(0.75, 1.25))
    if rng.random() < 0.5:
        body = _box(camera, frame, (0.6, 0.6, tall), color)
        return [body, _box(camera, frame, (0.68, 0.64, 0.07), color * 0.6, tall)]
    tone = (color[0], color[1], color[2])
    lid = (color[0] * 0.6, color[1] * 0.6, color[2] * 0.6)
    return [
        _limbs(
            camera,
            frame,
            [
                ((0, 0, 0.2), (0, 0, tall), 0.24, 0.27, tone),
                ((0, 0, tall), (0, 0, tall + 0.05), 0.28, 0.2, lid),
            ],
        )
    ]


def _bench(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    wood = np.array([60.0, 95.0, 140.0]) * rng.uniform(0.6, 1.3)
    steel = np.full(3, 55.0)
    legs = [_box(camera, _moved(frame, 0, y), (0.4, 0.08, 0.42), steel) for y in (-0.7, 0.7)]
    seat = _box(camera, frame, (0.45, 1.7, 0.06), wood, 0.42)
    back = _box(camera, _moved(frame, -0.22, 0), (0.06, 1.7, 0.34), wood * 0.9, 0.55)
    return [*legs, seat, back]


def _moved(frame: FloatArray, ahead: float, left: float) -> FloatArray:
    moved = frame.copy()
    moved[3] = frame[3] + frame[0] * ahead + frame[1] * left
    return moved


def _bollard(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    tone, tall = _gray(rng, 40, 160), float(rng.uniform(0.6, 1.0))
    band = (60.0, 60.0, 220.0) if rng.random() < 0.4 else (230.0, 230.0, 230.0)
    rows: list[Limb] = [
        ((0, 0, 0), (0, 0, tall), 0.09, 0.09, tone),
        ((0, 0, tall * 0.75), (0, 0, tall * 0.82), 0.095, 0.095, band),
    ]
    return [_limbs(camera, frame, rows)]


def _post_box(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    """Return a cabinet as tall as a person."""
    color = np.array(_paint(rng))
    size = (float(rng.uniform(0.4, 0.8)), float(rng.uniform(0.5, 1.1)), float(rng.uniform(1.1, 1.9)))
    return [
        _box(camera, frame, size, color),
        _box(camera, frame, (size[0] + 0.08, size[1] + 0.08, 0.08), color * 0.7, size[2]),
    ]


def _container(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    """Return a skip as large as a car."""
    color = np.array(_paint(rng))
    length, tall = float(rng.uniform(2.4, 4.4)), float(rng.uniform(1.1, 1.9))
    body = _box(camera, frame, (length, 1.8, tall), color, 0.12)
    return [body, _box(camera, frame, (length + 0.12, 1.9, 0.1), color * 0.75, tall + 0.1)]


def _hedge(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    leaf = np.array([45.0, 90.0, 60.0]) * rng.uniform(0.7, 1.3)
    tall = float(rng.uniform(0.6, 1.2))
    body = _box(camera, frame, (0.8, float(rng.uniform(1.5, 3)), tall), leaf)
    bumps: list[Limb] = []
    for y in np.linspace(-0.7, 0.7, 6):
        tone = leaf * rng.uniform(0.85, 1.2)
        bumps.append(((0, float(y), tall - 0.1), (0, float(y), tall), 0.25, 0.2, (tone[0], tone[1], tone[2])))
    return [body, _limbs(camera, frame, bumps)]


def _cone(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    orange = (30.0, float(rng.uniform(80, 130)), 235.0)
    return [_limbs(camera, frame, [
        ((0, 0, 0.04), (0, 0, 0.05), 0.24, 0.24, (40, 45, 60)),
        ((0, 0, 0.05), (0, 0, 0.7), 0.17, 0.05, orange),
        ((0, 0, 0.33), (0, 0, 0.43), 0.125, 0.11, (235, 235, 235)),
    ])]  # fmt: skip


def _rack(camera: Camera, frame: FloatArray, rng: np.random.Generator) -> list[Layer]:
    """Return hoops to lock bicycles to: round bars that are no wheels."""
    arch = np.stack([np.cos(_ROUND) * 0.38, np.zeros(16), np.maximum(np.sin(_ROUND) * 0.75, 0)], axis=-1)
    hoops = np.stack([arch + np.array([0, y, 0]) for y in (-0.6, 0.0, 0.6)])
    depth = max(float(camera.project(frame[3])[1]), 1.0)
    stroke = max(1, round(0.05 * camera.focal_px / depth))
    tone = np.tile(np.array(_gray(rng, 90, 170)), (3, 1))
    return [Layer(camera.polygons(hoops @ frame[:3] + frame[3]), tone, stroke_px=stroke)]


PROPS: dict[str, Callable[[Camera, FloatArray, np.random.Generator], list[Layer]]] = {
    "lamp_post": _lamp_post,
    "sign": _sign,
    "tree": _tree,
    "bin": _bin,
    "bench": _bench,
    "bollard": _bollard,
    "post_box": _post_box,
    "container": _container,
    "hedge": _hedge,
    "cone": _cone,
    "rack": _rack,
}
