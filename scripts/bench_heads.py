"""Measure what decoding a batch's raw outputs costs the CPU, beside reading what the kernels of a GPU leave.

    python scripts/bench_heads.py

Prints one line per head: microseconds of one thread per image. Every image has eight objects; a head without
kernels costs a GPU host the first column, any other the last line.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

import numpy as np

from framelane.inference.backends.cuda.postprocess import ROW
from framelane.inference.backends.cuda.results import detections
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.heads.detection_lists import ListsHead
from framelane.models.heads.rfdetr import RfDetrHead
from framelane.models.heads.rotation import Rotation
from framelane.models.heads.yolonas import YoloNasHead
from framelane.models.heads.yolov8 import YoloV8Head
from framelane.models.input.spec import InputSpec
from framelane.models.postprocess import Postprocessor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.head import Head

    Array = NDArray[np.float32]

BATCH, OBJECTS, CLASSES = 16, 8, 80
SIDE, SOURCE_WH = 640, (1920, 1080)
QUERIES, CELLS = 300, 8400
MOST, IOU, CONFIDENCE = 300, 0.45, 0.25
SPEC = InputSpec(SIDE, SIDE, "rgb", 1 / 255, "center")


def main() -> int:
    """Measure every head."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=50)
    repeats = parser.parse_args().repeats
    rng = np.random.default_rng(0)
    letterboxes = [SPEC.letterbox(SOURCE_WH)] * BATCH
    filters = [ClassFilter.everything(CLASSES, CONFIDENCE)] * BATCH
    for head, outputs in (detr(rng), rf_detr(rng), yolo_nas(rng), yolov8_obb(rng)):
        finish = Postprocessor(head, IOU, MOST)

        def decode(finish: Postprocessor = finish, outputs: Sequence[NDArray[np.generic]] = outputs) -> None:
            finish([each.astype(np.float32, copy=False) for each in outputs], letterboxes, filters)

        kilobytes = sum(each.nbytes for each in outputs) / BATCH / 1e3
        print(f"{head.name:<12} {cost_us(decode, repeats):8.1f} us, {kilobytes:8.1f} kB of outputs")
    results = np.zeros((BATCH, 1 + ROW * MOST), np.float32)
    results[:, 0] = OBJECTS
    print(f"{'kernels':<12} {cost_us(lambda: detections(results, BATCH), repeats):8.1f} us")
    return 0


def cost_us(work: Callable[[], object], repeats: int) -> float:
    """Return the median time per image."""
    taken_s = []
    for _ in range(repeats):
        begin_s = time.thread_time()
        work()
        taken_s.append(time.thread_time() - begin_s)
    return float(np.median(taken_s)) / BATCH * 1e6


def scores(rng: np.random.Generator, rows: int, low: float, high: float) -> Array:
    """Return scores [batch, rows, classes], high for a class of some rows."""
    found = rng.normal(low, abs(low) / 10, (BATCH, rows, CLASSES))
    for number in range(OBJECTS):
        found[:, number * rows // OBJECTS, number] = high
    return found.astype(np.float32)


def corners(rng: np.random.Generator, rows: int) -> Array:
    """Return boxes [batch, rows, 4] with an area."""
    sides = rng.uniform(0, SIDE - 100, (BATCH, rows, 2))
    return np.concatenate([sides, sides + rng.uniform(20, 100, sides.shape)], axis=2).astype(np.float32)


def detr(rng: np.random.Generator) -> tuple[Head, list[NDArray[np.generic]]]:
    """Return D-FINE's lists."""
    best = scores(rng, QUERIES, 0.01, 0.8)
    outputs = [corners(rng, QUERIES), best.max(axis=2), best.argmax(axis=2)]
    return ListsHead("detr", SPEC, 0, 1, 2), outputs


def rf_detr(rng: np.random.Generator) -> tuple[Head, list[NDArray[np.generic]]]:
    """Return boxes, and logits in half precision."""
    logits = scores(rng, QUERIES, -5, 2).astype(np.float16)
    head = RfDetrHead("rf-detr", SPEC, 0, 1, tuple(range(CLASSES)))
    return head, [corners(rng, QUERIES) / SIDE, logits]


def yolo_nas(rng: np.random.Generator) -> tuple[Head, list[NDArray[np.generic]]]:
    """Return corners, and scores in half precision."""
    return YoloNasHead(SPEC, CLASSES, 0, 1), [
        corners(rng, CELLS), scores(rng, CELLS, 0.01, 0.8).astype(np.float16),
    ]  # fmt: skip


def yolov8_obb(rng: np.random.Generator) -> tuple[Head, list[NDArray[np.generic]]]:
    """Return centers, sizes, scores and angles, as an engine leaves them: in single precision."""
    angles = rng.uniform(0, 3, (BATCH, CELLS, 1)).astype(np.float32)
    rows = np.concatenate([corners(rng, CELLS), scores(rng, CELLS, 0.01, 0.8), angles], axis=2)
    head = YoloV8Head(SPEC, CLASSES, 0, Rotation(), "yolov8-obb")
    return head, [np.ascontiguousarray(rows.swapaxes(1, 2))]


if __name__ == "__main__":
    sys.exit(main())
