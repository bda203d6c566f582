"""Cars: a body of flat faces in true perspective, with windows, wheels, lights and plates."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framelane.demo.camera import Camera, FloatArray
from framelane.demo.canvas import Layer

_PAINTS = np.array(
    [
        (238, 238, 236), (196, 198, 200), (120, 122, 126), (52, 50, 50), (28, 26, 26), (40, 34, 165),
        (150, 70, 35), (95, 60, 30), (60, 95, 50), (60, 190, 225), (40, 110, 215), (165, 190, 205), (120, 95, 120),
    ],
    np.float64,
)  # fmt: skip
_GLASS = np.array([78.0, 66.0, 56.0])
# Outline [K, 3] in car axes (meters), and BGR color.
Part = tuple[FloatArray, FloatArray]

_CIRCLE = np.linspace(0, 2 * np.pi, 14, endpoint=False)


@dataclass(frozen=True, slots=True)
class CarShape:
    """Side profile in meters: (ahead, up) outlines, with the front at positive values."""

    length: float
    width: float
    body: tuple[tuple[float, float], ...]
    # Rear bottom, rear top, front top, front bottom.
    cabin: tuple[tuple[float, float], ...]
    # How much narrower the roof is on each side.
    inset: float
    # Where the side windows meet, 0..1 from the rear.
    pillar: float


_SHAPES: dict[str, CarShape] = {
    "hatchback": CarShape(
        3.9, 1.72,
        ((-1.92, 0.3), (-1.95, 0.62), (-1.84, 0.92), (0.9, 0.92), (1.75, 0.78), (1.95, 0.6), (1.95, 0.26)),
        ((-1.84, 0.9), (-1.45, 1.46), (0.2, 1.48), (1.0, 0.9)), 0.16, 0.46,
    ),
    "sedan": CarShape(
        4.6, 1.8,
        ((-2.28, 0.32), (-2.3, 0.7), (-2.2, 0.93), (1.0, 0.92), (2.1, 0.76), (2.3, 0.58), (2.3, 0.26)),
        ((-1.7, 0.9), (-1.05, 1.42), (0.25, 1.44), (1.1, 0.9)), 0.18, 0.48,
    ),
    "suv": CarShape(
        4.5, 1.86,
        ((-2.22, 0.38), (-2.25, 0.75), (-2.18, 1.06), (1.0, 1.06), (2.0, 0.96), (2.25, 0.74), (2.25, 0.34)),
        ((-2.18, 1.04), (-1.85, 1.68), (0.35, 1.7), (1.08, 1.04)), 0.15, 0.5,
    ),
    "van": CarShape(
        4.9, 1.92,
        ((-2.42, 0.34), (-2.45, 0.8), (-2.42, 1.12), (1.5, 1.12), (2.2, 0.96), (2.45, 0.7), (2.45, 0.3)),
        ((-2.42, 1.1), (-2.36, 1.95), (0.8, 1.97), (1.6, 1.1)), 0.1, 0.62,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Car:
    """The look of a car."""

    shape: CarShape
    paint: FloatArray
    roof: FloatArray
    glass: FloatArray
    panel_van: bool
    taxi: bool


def draw_car(rng: np.random.Generator) -> Car:
    """Choose a body and its paint."""
    kind = str(rng.choice(list(_SHAPES), p=[0.32, 0.3, 0.23, 0.15]))
    colors = rng.uniform(20, 235, 3) if rng.random() < 0.15 else _PAINTS[rng.integers(len(_PAINTS))]
    paint = colors * rng.uniform(0.88, 1.05)
    return Car(
        shape=_SHAPES[kind],
        paint=paint,
        roof=paint * 0.3 if rng.random() < 0.12 else paint,
        glass=_GLASS * rng.uniform(0.5, 1.35),
        panel_van=bool(kind == "van" and rng.random() < 0.6),
        taxi=bool(kind == "sedan" and rng.random() < 0.12),
    )


def car_layers(camera: Camera, car: Car, frame: FloatArray, *, lights_on: bool) -> list[Layer]:
    """Return the car from far to near; `frame` [4, 3] has its (ahead, left, up) axes and ground position."""
    # The camera in car axes.
    eye = frame[:3] @ (camera.position - frame[3])
    side = 1.0 if eye[1] > 0 else -1.0
    shape = car.shape
    half = shape.width / 2
    parts: list[Part] = []
    parts += _wheels(shape, -side, half, far=True)
    parts += _body(car, eye, side, half)
    parts += _cabin(car, eye, side, half)
    parts += _fittings(car, eye, side, half)
    parts += _wheels(shape, side, half, far=False)
    lamps = _lamps(car, eye, lights_on=lights_on)
    return [_layer(camera, parts, frame)] + (
        [_layer(camera, lamps, frame, solid=False, glowing=lights_on)] if lamps else []
    )


def _layer(
    camera: Camera, parts: list[Part], frame: FloatArray, *, solid: bool = True, glowing: bool = False
) -> Layer:
    """Project all outlines at once, each padded to the longest by repeating its last point."""
    longest = max(len(outline) for outline, _ in parts)
    local = np.stack([outline[np.minimum(np.arange(longest), len(outline) - 1)] for outline, _ in parts])
    colors = np.array([color for _, color in parts])
    return Layer(camera.polygons(local @ frame[:3] + frame[3]), colors, solid=solid, glowing=glowing)


def _profile(points: tuple[tuple[float, float], ...], y: float) -> FloatArray:
    return np.array([(x, y, z) for x, z in points])


def _body(car: Car, eye: FloatArray, side: float, half: float) -> list[Part]:
    """Return the lower body: every visible face between two profile points, then the near side."""
    points = car.shape.body
    parts = []
    for (x1, z1), (x2, z2) in zip(points, (*points[1:], points[0]), strict=True):
        # The profile runs clockwise, so this normal points outwards.
        outward = np.array([-(z2 - z1), x2 - x1])
        if outward @ (eye[[0, 2]] - (x1, z1)) > 0:
            steep = outward[1] / np.hypot(*outward)
            face = np.array([(x1, -half, z1), (x1, half, z1), (x2, half, z2), (x2, -half, z2)])
            parts.append((face, car.paint * (0.8 + 0.24 * steep)))
    if abs(eye[1]) > half:
        parts.append((_profile(points, half * side), car.paint * 0.84))
        sill = np.array([(points[0][0] + 0.1, half * side, 0.3), (points[-1][0] - 0.1, half * side, 0.3)])
        low = sill - np.array([0, 0, 0.06])
        parts.append((np.concatenate([sill, low[::-1]]), car.paint * 0.35))
    return parts


def _cabin(car: Car, eye: FloatArray, side: float, half: float) -> list[Part]:
    """Return windshield, rear window, side windows and roof of the narrowing cabin."""
    (rx, rz), (rtx, rtz), (ftx, ftz), (fx, fz) = car.shape.cabin
    low, top = half - 0.03, half - car.shape.inset
    parts: list[Part] = []
    rear = np.array([(rx, -low, rz), (rx, low, rz), (rtx, top, rtz), (rtx, -top, rtz)])
    front = np.array([(fx, -low, fz), (fx, low, fz), (ftx, top, ftz), (ftx, -top, ftz)])
    rear_normal, front_normal = np.array([-(rtz - rz), rtx - rx]), np.array([ftz - fz, -(ftx - fx)])
    if rear_normal @ (eye[[0, 2]] - (rx, rz)) > 0 or eye[0] < rx:
        parts.append((rear, car.paint * 0.86))
        glass = car.paint * 0.8 if car.panel_van else car.glass * 0.9
        parts.append((_shrink(rear, 0.12), glass))
    if front_normal @ (eye[[0, 2]] - (fx, fz)) > 0:
        parts += [(front, car.paint * 0.7), (_shrink(front, 0.07), car.glass * 1.15)]
    if abs(eye[1]) > top:
        y1, y2 = low * side, top * side
        flank = np.array([(rx, y1, rz), (rtx, y2, rtz), (ftx, y2, ftz), (fx, y1, fz)])
        parts.append((flank, car.paint * 0.86))
        parts += [(window, car.glass) for window in _side_windows(car, flank)]
    if eye[2] > rtz:
        roof = np.array([(rtx, -top, rtz), (rtx, top, rtz), (ftx, top, ftz), (ftx, -top, ftz)])
        parts.append((roof, car.roof * 1.03))
    return parts


def _shrink(face: FloatArray, share: float) -> FloatArray:
    shrunk: FloatArray = face + (face.mean(axis=0) - face) * share
    return shrunk


def _side_windows(car: Car, flank: FloatArray) -> list[FloatArray]:
    """Cut two windows into the flank: rear bottom, rear top, front top, front bottom."""
    inner = _shrink(flank, 0.1)
    inner[[0, 3], 2] += 0.03
    cut = car.shape.pillar
    low, high = inner[0] + (inner[3] - inner[0]) * cut, inner[1] + (inner[2] - inner[1]) * cut
    gap = np.array([0.05, 0, 0])
    ahead = np.stack([low + gap, high + gap, inner[2], inner[3]])
    behind = np.stack([inner[0], inner[1], high - gap, low - gap])
    return [ahead] if car.panel_van else [ahead, behind]


def _wheels(shape: CarShape, side: float, half: float, *, far: bool) -> list[Part]:
    parts: list[Part] = []
    circle = np.stack([np.cos(_CIRCLE), np.zeros(len(_CIRCLE)), np.sin(_CIRCLE)], axis=-1)
    for x in (-0.31 * shape.length, 0.32 * shape.length):
        hub = np.array([x, (half + (-0.16 if far else 0.005)) * side, 0.32])
        if far:
            parts.append((circle * 0.32 + hub, np.full(3, 18.0)))
            continue
        parts.append((circle * 0.37 + hub + np.array([0, 0, 0.02]), np.full(3, 14.0)))
        parts.append((circle * 0.32 + hub, np.full(3, 32.0)))
        parts.append((circle * 0.19 + hub, np.full(3, 150.0)))
        parts.append((circle * 0.07 + hub, np.full(3, 60.0)))
    return parts


def _fittings(car: Car, eye: FloatArray, side: float, half: float) -> list[Part]:
    """Return plate, grille, mirror, door seam and a taxi's sign."""
    parts: list[Part] = []
    end = 1.0 if eye[0] > 0 else -1.0
    nose = car.shape.length / 2 + 0.01
    if abs(eye[0]) > nose:
        if end > 0:
            parts.append((_plate(nose, half * 0.62, 0.4, 0.58), np.full(3, 28.0)))
        parts.append((_plate(end * nose, 0.26, 0.44, 0.55), np.full(3, 225.0)))
    if abs(eye[1]) > half:
        y = (half + 0.005) * side
        belt = car.shape.cabin[0][1] - 0.02
        for x in (-0.1 * car.shape.length, 0.17 * car.shape.length):
            seam = np.array([(x, y, 0.36), (x + 0.03, y, 0.36), (x + 0.03, y, belt), (x, y, belt)])
            parts.append((seam, car.paint * 0.55))
    mirror_x = car.shape.cabin[3][0] - 0.22
    mirror = np.array([(0.0, 0.0, 0.0), (0.0, 0.2, 0.0), (0.0, 0.2, 0.14), (0.0, 0.0, 0.14)]) * np.array(
        [1, side, 1]
    )
    parts.append((mirror + np.array([mirror_x, (half - 0.02) * side, belt_z(car)]), car.paint * 0.7))
    if car.taxi:
        top = car.shape.cabin[1][1]
        sign = np.array(
            [(-0.25, -0.3, top), (-0.25, 0.3, top), (-0.25, 0.3, top + 0.16), (-0.25, -0.3, top + 0.16)]
        )
        parts.append((sign, np.array([60.0, 210.0, 245.0])))
    return parts


def belt_z(car: Car) -> float:
    """Return the height in meters where the windows begin."""
    return car.shape.cabin[3][1]


def _plate(x: float, half: float, low: float, high: float) -> FloatArray:
    return np.array([(x, -half, low), (x, half, low), (x, half, high), (x, -half, high)])


def _lamps(car: Car, eye: FloatArray, *, lights_on: bool) -> list[Part]:
    """Return head or tail lights of the end that the camera sees."""
    ahead = eye[0] > 0
    nose = car.shape.length / 2 + 0.012
    if abs(eye[0]) < nose:
        return []
    if ahead:
        color = np.array([225.0, 250.0, 255.0]) if lights_on else np.array([205.0, 205.0, 200.0])
    else:
        color = np.array([50.0, 40.0, 250.0]) if lights_on else np.array([35.0, 30.0, 165.0])
    outer, inner = car.shape.width / 2 - 0.04, car.shape.width / 2 - 0.42
    z = car.shape.body[4 if ahead else 1][1]
    lamps = []
    for sign in (-1.0, 1.0):
        x = nose if ahead else -nose
        low = z - 0.18 if ahead else z - 0.06
        lamp = np.array([(x, inner, low), (x, outer, low), (x, outer, low + 0.15), (x, inner, low + 0.15)])
        lamps.append((lamp * np.array([1, sign, 1]), color))
    return lamps


def lamp_points(car: Car, *, ahead: bool) -> FloatArray:
    """Return the two head or tail lights [2, 3] in car axes, meters."""
    x = car.shape.length / 2 * (1 if ahead else -1)
    return np.array([(x, -0.6, 0.62), (x, 0.6, 0.62)])
