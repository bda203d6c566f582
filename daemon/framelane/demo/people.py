"""People: a jointed figure of round limbs in varied clothes, walking, standing or riding."""

# ruff: noqa: PLR2004 - a drawing is made of plain proportions

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.demo.canvas import Layer, capsules

if TYPE_CHECKING:
    from framelane.demo.camera import Camera, FloatArray

_SKIN = np.array(
    [(180, 205, 240), (150, 185, 228), (110, 150, 205), (70, 105, 160), (45, 70, 115)], np.float64
)
_HAIR = np.array(
    [(25, 25, 28), (35, 50, 75), (60, 100, 150), (120, 170, 205), (150, 150, 150), (30, 45, 110)], np.float64
)
_DULL = np.array(
    [(40, 38, 36), (95, 70, 50), (60, 60, 64), (70, 85, 105), (130, 130, 128), (45, 60, 45)], np.float64
)


@dataclass(frozen=True, slots=True)
class Person:
    """The look of a person; colors are BGR rows, lengths meters."""

    height_m: float
    girth: float
    skin: FloatArray
    hair: FloatArray
    top: FloatArray
    legs: FloatArray
    shoes: FloatArray
    # trousers | skirt | coat | shorts.
    outfit: str
    # none | backpack | bag | hat | helmet.
    extra: str
    accent: FloatArray
    # Whole double steps in one loop.
    steps: int
    # 0 stands still, 1 walks briskly.
    stride: float


def draw_person(rng: np.random.Generator, steps: int, stride: float) -> Person:
    """Choose height, clothes and skin."""
    child = rng.random() < 0.12
    return Person(
        height_m=float(rng.uniform(1.15, 1.45) if child else rng.uniform(1.56, 1.92)),
        girth=float(rng.uniform(0.88, 1.25)),
        skin=_SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.92, 1.05),
        hair=_HAIR[rng.integers(len(_HAIR))],
        top=_cloth(rng, 0.65),
        legs=_cloth(rng, 0.25),
        shoes=_cloth(rng, 0.2) * 0.7,
        outfit=str(rng.choice(["trousers", "skirt", "coat", "shorts"], p=[0.6, 0.12, 0.16, 0.12])),
        extra=str(rng.choice(["none", "backpack", "bag", "hat"], p=[0.45, 0.22, 0.18, 0.15])),
        accent=_cloth(rng, 0.7),
        steps=steps,
        stride=stride,
    )


def _cloth(rng: np.random.Generator, colorful: float) -> FloatArray:
    if rng.random() < colorful:
        return rng.uniform(20, 235, 3)
    dull: FloatArray = _DULL[rng.integers(len(_DULL))] * rng.uniform(0.6, 1.3)
    return dull


def _walking_joints(person: Person, phase: float) -> FloatArray:
    """Return joints [14, 3] in (ahead, left, up) meters from the feet, in the order of _LIMBS."""
    tall = person.height_m
    swing = 2 * np.pi * person.steps * phase
    hip_z, shoulder_z = 0.52 * tall, 0.81 * tall
    bounce = 0.012 * tall * person.stride * np.cos(2 * swing)
    joints = np.zeros((14, 3))
    for side, sign in ((0, 1.0), (1, -1.0)):
        reach = 0.46 * person.stride * np.sin(swing) * sign
        bend = person.stride * (0.35 + 0.45 * max(0.0, np.cos(swing) * sign))
        hip = np.array([0, 0.055 * tall * sign, hip_z + bounce])
        knee = hip + 0.26 * tall * np.array([np.sin(reach + 0.3 * bend), 0, -np.cos(reach + 0.3 * bend)])
        ankle = knee + 0.235 * tall * np.array([np.sin(reach - 0.7 * bend), 0, -np.cos(reach - 0.7 * bend)])
        shoulder = np.array([0.02 * person.stride, 0.098 * tall * person.girth * sign, shoulder_z + bounce])
        arm = -0.75 * reach
        elbow = shoulder + 0.165 * tall * np.array([np.sin(arm), 0.12 * sign, -np.cos(arm)])
        hand = elbow + 0.17 * tall * np.array([np.sin(arm + 0.35), 0, -np.cos(arm + 0.35)])
        joints[side::2][:6] = hip, knee, ankle, shoulder, elbow, hand
    joints[12] = 0.03 * person.stride, 0, 0.925 * tall + bounce
    joints[13] = 0, 0, 0.7 * tall + bounce
    joints[:, 2] -= max(0.0, joints[4:6, 2].min() - 0.035 * tall)
    return joints


def riding_joints(person: Person, crank: float) -> FloatArray:
    """Return joints [14, 3] of a person on a bicycle of `bicycles.py`; `crank` is in radians."""
    tall = person.height_m
    joints = np.zeros((14, 3))
    lean = np.array([0.42, 0, 0.91])
    for side, sign in ((0, 1.0), (1, -1.0)):
        hip = np.array([-0.2, 0.09 * sign, 0.98])
        foot = np.array(
            [-0.02 + 0.16 * np.cos(crank) * sign, 0.12 * sign, 0.36 + 0.16 * np.sin(crank) * sign]
        )
        knee = _joint(hip, foot, 0.26 * tall, 0.255 * tall, 1.0)
        shoulder = hip + lean * 0.31 * tall + np.array([0, 0.08 * sign, 0])
        hand = np.array([0.4, 0.25 * sign, 1.03])
        elbow = _joint(shoulder, hand, 0.17 * tall, 0.18 * tall, -1.0)
        joints[side::2][:6] = hip, knee, foot, shoulder, elbow, hand
    joints[12] = np.array([-0.2, 0, 0.98]) + lean * 0.31 * tall + np.array([0.09, 0, 0.13 * tall])
    joints[13] = np.array([-0.2, 0, 0.98]) + lean * 0.2 * tall
    return joints


def _joint(a: FloatArray, b: FloatArray, first: float, second: float, bend: float) -> FloatArray:
    """Return the knee or elbow between a and b, bent forward (+1) or backward (-1) in the vertical plane."""
    gap = b - a
    far = min(float(np.linalg.norm(gap)), first + second - 1e-3)
    along = (first**2 - second**2 + far**2) / (2 * far)
    off = np.sqrt(max(0.0, first**2 - along**2))
    unit = gap / max(float(np.linalg.norm(gap)), 1e-6)
    normal = np.array([-unit[2], 0, unit[0]]) * bend
    knee: FloatArray = a + unit * along + normal * off
    return knee


def person_layers(
    camera: Camera, person: Person, frame: FloatArray, phase: float, crank: float | None
) -> list[Layer]:
    """Return the figure; `frame` [4, 3] is its (ahead, left, up) axes and its feet's place in the world.

    A figure with `crank` None walks or stands; otherwise it rides.
    """
    local = _walking_joints(person, phase) if crank is None else riding_joints(person, crank)
    world = local @ frame[:3] + frame[3]
    to_camera = camera.position - frame[3]
    left_is_near = float(frame[1] @ to_camera) > 0
    seen_from_behind = float(frame[0] @ to_camera) < 0
    ends, radii, colors = _limbs(
        person, world, frame, left_is_near=left_is_near, from_behind=seen_from_behind
    )
    return [capsules(camera, ends, radii, colors)]


def _limbs(
    person: Person, joints: FloatArray, frame: FloatArray, *, left_is_near: bool, from_behind: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """List the capsules from far to near: ends [L, 2, 3], radii [L, 2], colors [L, 3]."""
    tall, wide = person.height_m, person.girth
    rows: list[tuple[FloatArray, FloatArray, float, float, FloatArray]] = []
    near, far = (0, 1) if left_is_near else (1, 0)
    sleeve = person.top * 0.88
    lower_leg = person.skin if person.outfit in ("shorts", "skirt") else person.legs * 0.92

    def arm(side: int, shade: float) -> None:
        rows.append((joints[6 + side], joints[8 + side], 0.034 * tall * wide, 0.028 * tall, sleeve * shade))
        rows.append((joints[8 + side], joints[10 + side], 0.027 * tall, 0.02 * tall, sleeve * shade))
        rows.append(
            (
                joints[10 + side],
                joints[10 + side] - frame[2] * 0.03,
                0.023 * tall,
                0.02 * tall,
                person.skin * shade,
            )
        )

    def leg(side: int, shade: float) -> None:
        toe = joints[4 + side] + frame[0] * 0.1 * tall - frame[2] * 0.012 * tall
        rows.append((joints[4 + side], toe, 0.026 * tall, 0.02 * tall, person.shoes * shade))
        rows.append((joints[2 + side], joints[4 + side], 0.034 * tall, 0.025 * tall, lower_leg * shade))
        rows.append((joints[side], joints[2 + side], 0.05 * tall * wide, 0.038 * tall, person.legs * shade))

    arm(far, 0.72)
    leg(far, 0.75)
    leg(near, 1.0)
    hips, chest = (joints[0] + joints[1]) / 2, joints[13]
    if person.outfit in ("skirt", "coat"):
        hem = (joints[2] + joints[3]) / 2
        color = person.legs if person.outfit == "skirt" else person.top
        rows.append((hips, hem, 0.075 * tall * wide, 0.09 * tall * wide, color * 0.95))
    if person.extra == "backpack" and not from_behind:
        rows.append(_pack(person, chest, frame))
    inset = frame[2] * 0.03 * tall
    rows.extend(
        (joints[6 + side] - inset, joints[side] + inset, 0.052 * tall * wide, 0.06 * tall * wide, person.top)
        for side in (far, near)
    )
    rows.append((chest, hips + frame[2] * 0.04 * tall, 0.075 * tall * wide, 0.066 * tall * wide, person.top))
    rows.append(
        (joints[12] - frame[2] * 0.1 * tall, joints[12], 0.03 * tall, 0.03 * tall, person.skin * 0.85)
    )
    rows.extend(_head(person, joints[12], frame, from_behind=from_behind))
    if person.extra == "backpack" and from_behind:
        rows.append(_pack(person, chest, frame))
    arm(near, 1.0)
    if person.extra == "bag":
        hand = joints[10 + near]
        rows.append((hand - frame[2] * 0.1, hand - frame[2] * 0.22, 0.06 * tall, 0.075 * tall, person.accent))
    ends = np.array([(a, b) for a, b, *_ in rows])
    return ends, np.array([(r, s) for _, _, r, s, _ in rows]), np.array([color for *_, color in rows])


def _pack(
    person: Person, chest: FloatArray, frame: FloatArray
) -> tuple[FloatArray, FloatArray, float, float, FloatArray]:
    tall = person.height_m
    behind = chest - frame[0] * 0.1 * tall
    return (
        behind + frame[2] * 0.05 * tall,
        behind - frame[2] * 0.12 * tall,
        0.07 * tall,
        0.08 * tall,
        person.accent,
    )


def _head(
    person: Person, center: FloatArray, frame: FloatArray, *, from_behind: bool
) -> list[tuple[FloatArray, FloatArray, float, float, FloatArray]]:
    """Return face and hair or hat, the nearer one last."""
    tall = person.height_m
    up, ahead = frame[2] * tall, frame[0] * tall
    face = (center - up * 0.012, center + up * 0.016 + ahead * 0.012, 0.05 * tall, 0.054 * tall, person.skin)
    covered = person.extra in ("hat", "helmet")
    color = person.accent if covered else person.hair
    size = 0.062 if covered else 0.056
    back = 0.004 if covered else 0.016
    hair = (
        center + up * 0.02 - ahead * back,
        center + up * 0.036 - ahead * back * 0.4,
        size * tall,
        0.05 * tall,
        color,
    )
    fringe = (
        center + up * 0.045 - ahead * 0.01,
        center + up * 0.047 + ahead * 0.012,
        0.04 * tall,
        0.036 * tall,
        color,
    )
    return [face, hair] if from_behind else [hair, face, fringe]
