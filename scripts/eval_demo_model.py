"""Measure the embedded demo detector on scenes it was not trained on, after H.264 and on the CPU.

    python scripts/eval_demo_model.py [--scenes 100] [--json]

One second of each held-out scene is encoded like the demo's clips and decoded, and two frames go through the
product's own preprocessing, inference and suppression. Prints mAP by pycocotools (objects that are too small
or too hidden count as crowd: neither required nor penalized), and precision, recall and mean IoU of the
matches at the daemon's default threshold. Exits with 1 if mAP50 is below 0.90.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from framelane.config.sections.model import ModelConfig
from framelane.demo.clips import write_clip
from framelane.demo.scene import CLASS_NAMES, HELD_OUT_SEEDS, Scene
from framelane.inference.model import load_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.demo.truth import GroundTruth

MODEL = Path(__file__).parents[1] / "daemon/framelane/demo/assets/framelane-demo.onnx"
FIRST_SEED = HELD_OUT_SEEDS.start + 500_000
LEAST_MAP50 = 0.90
CONFIDENCE, NMS_IOU, MATCH_IOU = 0.4, 0.45, 0.5


class Detector:
    """A model with the product's own preprocessing, heads and suppression."""

    def __init__(self, path: Path) -> None:
        self._model = load_model("demo", ModelConfig(path=str(path), iou=NMS_IOU))
        self._runner = self._model.runner(1)
        self._runner.open()

    def __call__(self, picture: av.VideoFrame, threshold: float) -> Detections:
        """Return the detections in one image, at one threshold for all classes."""
        wanted = self._model.filter(confidence=threshold)
        return self._runner.detect([picture], [wanted], [None]).detections[0]


def decoded_frames(seed: int) -> list[tuple[av.VideoFrame, GroundTruth]]:
    """Return two frames of one second of a scene as a camera would deliver them, with their truth."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        truth = write_clip(path, Scene(seed), seconds=1.0)
        with av.open(str(path)) as container:
            pictures = list(container.decode(video=0))
    return [(pictures[i], truth.frames[i]) for i in (4, 14)]


def pairwise_iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the IoU [N, M] of xyxy boxes [N, 4] and [M, 4]."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = (high - low).clip(0).prod(-1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    iou: NDArray[np.float32] = inter / (area_a[:, None] + area_b[None] - inter + 1e-9)
    return iou


@dataclass(slots=True)
class Tally:
    """Matches at the default threshold, summed over images."""

    matched_iou: list[float]
    false: int = 0
    missed: int = 0

    def add(self, found: Detections, truth: GroundTruth) -> None:
        """Match the most confident first; detections on ignored objects do not count."""
        iou = pairwise_iou(found.xyxy, truth.xyxy) * (found.class_id[:, None] == truth.class_id[None])
        free = np.ones(len(truth.class_id), np.bool_)
        for i in np.argsort(-found.confidence):
            asked = np.where(free & ~truth.ignore, iou[i], 0.0)
            if asked.max(initial=0.0) >= MATCH_IOU:
                self.matched_iou.append(float(asked.max()))
                free[asked.argmax()] = False
            elif np.where(truth.ignore, iou[i], 0.0).max(initial=0.0) < MATCH_IOU / 2:
                self.false += 1
        self.missed += int((free & ~truth.ignore).sum())


def coco_map(founds: list[Detections], truths: list[GroundTruth]) -> dict[str, float]:
    """Return mAP50, mAP50-95 and each class's AP50 by pycocotools."""
    annotations: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for image_id, (found, truth) in enumerate(zip(founds, truths, strict=True), 1):
        for box, class_id, ignore in zip(
            truth.xyxy.tolist(), truth.class_id.tolist(), truth.ignore.tolist(), strict=True
        ):
            x1, y1, x2, y2 = box
            note = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": class_id + 1,
                "iscrowd": int(ignore),
            }
            annotations.append({**note, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)})
        for box, score, class_id in zip(
            found.xyxy.tolist(), found.confidence.tolist(), found.class_id.tolist(), strict=True
        ):
            x1, y1, x2, y2 = box
            results.append(
                {
                    "image_id": image_id,
                    "category_id": class_id + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1} for i in range(len(truths))],
            "annotations": annotations,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASS_NAMES)],
            "info": {},
        }
        coco.createIndex()
        measured = COCOeval(coco, coco.loadRes(results), "bbox")
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
    # Axes: IoU, recall, class, all sizes, 100 detections.
    precision = measured.eval["precision"][:, :, :, 0, 2]
    figures = {"mAP50": float(measured.stats[1]), "mAP50-95": float(measured.stats[0])}
    return figures | {f"AP50 {name}": float(precision[0, :, i].mean()) for i, name in enumerate(CLASS_NAMES)}


def measure(model: Path, scenes: int) -> dict[str, float]:
    """Return all figures of a model file."""
    detect = Detector(model)
    founds: list[Detections] = []
    truths: list[GroundTruth] = []
    tally = Tally([])
    for seed in range(FIRST_SEED, FIRST_SEED + scenes):
        for picture, truth in decoded_frames(seed):
            founds.append(detect(picture, 0.01))
            truths.append(truth)
            tally.add(detect(picture, CONFIDENCE), truth)
    figures = coco_map(founds, truths)
    hits = len(tally.matched_iou)
    figures["mean matched IoU"] = float(np.mean(tally.matched_iou)) if hits else 0.0
    figures["precision"] = hits / max(hits + tally.false, 1)
    figures["recall"] = hits / max(hits + tally.missed, 1)
    return figures | {"images": float(len(truths)), "objects": float(hits + tally.missed)}


def main() -> int:
    """Measure, print the figures, and check the goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = measure(args.model, args.scenes)
    if args.json:
        print(json.dumps({name: round(value, 4) for name, value in figures.items()}))
    else:
        for name, value in figures.items():
            print(f"{name:<18}{value:10.4f}")
    return 0 if figures["mAP50"] >= LEAST_MAP50 else 1


if __name__ == "__main__":
    sys.exit(main())
