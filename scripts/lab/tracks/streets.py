"""The demo's streets as footage: rendered, inferred by the demo's model, with truth from the street itself.

Line and truth are those of demo/street_rules.py; doubtful crossings are ignored.
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
from framelane.demo.street_rules import line_looked_at, true_crossings
from framelane.inference.model import load_model
from lab.tracks.footage import Crossing, Footage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.demo.street_rules import TrueCrossing

    Floats = NDArray[np.float64]

CONFIDENCE = 0.4
WEAK_SHARE = 0.5


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
    line = line_looked_at(scene)
    counting = [frozenset(frame[:, 4].astype(int).tolist()) for frame in truth]
    return Footage(
        f"street {shape.seed}",
        shape.fps,
        shape.size_wh,
        CONFIDENCE,
        CLASS_NAMES,
        found,
        truth,
        np.zeros((0, 2, 2)) if line is None else line.points[None],
        [] if line is None else [_crossing(each) for each in true_crossings(scene, line, counting)],
    )


def _crossing(true: TrueCrossing) -> Crossing:
    return Crossing(0, true.side, true.at_s, true.doubtful)


def _by_frame(rows: Floats, frames: int) -> list[Floats]:
    ends = np.searchsorted(rows[:, 0], np.arange(1, frames))
    return [each[:, 1:] for each in np.split(rows, ends)]
