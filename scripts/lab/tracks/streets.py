"""The demo's streets as footage: rendered, inferred by the demo's model, with truth from the street itself.

A line lies on the ground across the street, from wall to wall. An object has truly crossed it when the point of the
ground below its middle has; the rules see boxes only. A crossing is ignored if the object is too small or too hidden to
count for a detector within half a second of it.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from multiprocessing import get_context
from typing import TYPE_CHECKING

import cv2
import numpy as np

from framelane.config.sections.model import ModelConfig
from framelane.demo.cast import CLASS_NAMES
from framelane.demo.clips import Encoding, video_frame
from framelane.demo.scene import RENDERER_VERSION, Scene
from framelane.inference.model import load_model
from lab.tracks.footage import Crossing, Footage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CONFIDENCE = 0.4
WEAK_SHARE = 0.5
_FARTHEST_M = 10.0
"""Beyond it, persons are too small to count for or against a detector."""
_MOST_STEP_M = 5.0
_SEEN_S = 0.5
"""Seconds before and after a crossing in which an object must count for a detector."""
_MARGIN = 0.01


@dataclass(frozen=True, slots=True)
class StreetShape:
    """How a street is filmed; it loops after `seconds`."""

    seed: int
    size_wh: tuple[int, int] = (480, 360)
    fps: float = 10.0
    seconds: float = 60.0


def streets(shapes: list[StreetShape], cache: Path, processes: int = 2) -> list[Footage]:
    """Return the footage of some streets; what is not in the folder `cache` is rendered and inferred."""
    cache.mkdir(parents=True, exist_ok=True)
    missing = [shape for shape in shapes if not _file(cache, shape).exists()]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for _ in pool.map(_infer, missing, [cache] * len(missing)):
            pass
    return [_read(cache, shape) for shape in shapes]


def _file(cache: Path, shape: StreetShape) -> Path:
    size = f"{shape.size_wh[0]}x{shape.size_wh[1]}"
    return cache / f"street-v{RENDERER_VERSION}-{shape.seed}-{size}-{shape.fps:g}fps-{shape.seconds:g}s.npz"


def _infer(shape: StreetShape, cache: Path) -> None:
    """Render a street and keep its true objects and what the demo's model finds."""
    cv2.setNumThreads(1)
    asset = files("framelane.demo") / "assets" / "framelane-demo.onnx"
    model = load_model("street", ModelConfig(path=str(asset), backend="onnxruntime"))
    runner = model.runner(1)
    runner.open()
    wanted = model.filter(confidence=CONFIDENCE * WEAK_SHARE)
    scene = Scene(shape.seed, shape.size_wh, shape.fps, shape.seconds)
    found, truth = [], []
    for number in range(round(shape.seconds * shape.fps)):
        image, real = scene.render(number / shape.fps)
        (seen,) = runner.detect([video_frame(image, Encoding())], [wanted], [None]).detections
        found.append(np.c_[np.full(len(seen), number), seen.xyxy, seen.confidence, seen.class_id])
        counts = ~real.ignore
        rows = np.c_[np.full(len(real.actor), number), real.xyxy, real.actor, real.class_id]
        truth.append(rows[counts])
    unfinished = cache / f".{os.getpid()}.npz"
    np.savez(unfinished, found=np.concatenate(found), truth=np.concatenate(truth))
    unfinished.replace(_file(cache, shape))


def _read(cache: Path, shape: StreetShape) -> Footage:
    kept = np.load(_file(cache, shape))
    frames = range(round(shape.seconds * shape.fps))
    found, truth = (_by_frame(kept[name], len(frames)) for name in ("found", "truth"))
    scene = Scene(shape.seed, shape.size_wh, shape.fps, shape.seconds)
    y_m = _line_y(scene)
    line = _line(scene, y_m)
    return Footage(
        f"street {shape.seed}",
        shape.fps,
        shape.size_wh,
        CONFIDENCE,
        CLASS_NAMES,
        found,
        truth,
        line,
        _crossings(scene, y_m, line, truth) if len(line) else [],
    )


def _by_frame(rows: Floats, frames: int) -> list[Floats]:
    ends = np.searchsorted(rows[:, 0], np.arange(1, frames))
    return [each[:, 1:] for each in np.split(rows, ends)]


def _line_y(scene: Scene) -> float:
    """Return where along the street the line is: where the camera looks, but near enough."""
    forward = scene.camera.axes[2]
    # The camera looks at a spot about 0.9 m above the ground.
    reach = (scene.camera.position[2] - 0.9) / max(-forward[2], 1e-3)
    return float(np.clip(scene.camera.position[1] + forward[1] * reach, -_FARTHEST_M, _FARTHEST_M))


def _line(scene: Scene, y_m: float) -> Floats:
    """Return the visible part of the line [1, 2, 2], from left to right in the image; [0, 2, 2] if there is none."""
    x = np.linspace(-scene.street.walls_at, scene.street.walls_at, 200)
    uv, depth = scene.camera.project(np.stack([x, np.full_like(x, y_m), np.zeros_like(x)], axis=1))
    size = np.array(scene.size_wh)
    inside = (depth > 1.0) & ((uv > size * _MARGIN) & (uv < size * (1 - _MARGIN))).all(axis=1)
    seen = uv[inside]
    return np.array([[seen[0], seen[-1]]]) if len(seen) > 1 else np.zeros((0, 2, 2))


def _crossings(scene: Scene, y_m: float, line: Floats, truth: list[Floats]) -> list[Crossing]:
    """Return when objects' places on the ground cross the line; to ignore if they don't count in the frames around."""
    seen = round(_SEEN_S * scene.fps)
    there = [set(frame[:, 4].astype(int).tolist()) for frame in truth]
    found = []
    for number, actor in enumerate(scene.actors):
        if actor.still or actor.class_id < 0:
            continue
        places = [actor.path.at(frame / len(truth)) for frame in range(len(truth) + 1)]
        before = np.array([(place.x, place.y - y_m) for place in places])
        steps = np.diff(before[:, 1])
        crossed = (before[:-1, 1] < 0) != (before[1:, 1] < 0)
        for frame in np.flatnonzero(crossed & (np.abs(steps) < _MOST_STEP_M)).tolist():
            share = -before[frame, 1] / steps[frame]
            around = range(frame + 1 - seen, frame + 1 + seen)
            counts = all(number in there[each % len(truth)] for each in around)
            side = _side(scene, line, before[frame, 0], y_m + np.sign(steps[frame]) * 0.2)
            found.append(Crossing(0, side, (frame + share) / scene.fps, not counts))
    return sorted(found, key=lambda each: each.at_s)


def _side(scene: Scene, line: Floats, x_m: float, y_m: float) -> int:
    """Return on which side of the line in the image a point of the ground is: -1 left, 1 right."""
    uv, _ = scene.camera.project(np.array([x_m, y_m, 0.0]))
    start, end = line[0]
    along, off = end - start, uv - start
    return 1 if along[0] * off[1] - along[1] * off[0] > 0 else -1
