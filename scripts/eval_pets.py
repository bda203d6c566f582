"""Scores a model's persons on a clip with MOT ground truth, through the product's own path."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from framelane.config.schema import ModelConfig
from framelane.inference.model import load_model
from framelane.inference.preprocess import Preprocessor

SHARED = Path(__file__).resolve().parents[1].parent / "shared"

Boxes = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PetsScore:
    """How many persons were found, frame by frame.

    Attributes:
        frames: frames that have ground truth.
        precision: share of detections that are a person.
        recall: share of persons that were detected.
    """

    frames: int
    precision: float
    recall: float


def evaluate(
    config: ModelConfig, video: Path, truth: Path, overlap: float = 0.5, limit: int | None = None
) -> PetsScore:
    """Score the label `person` on a clip; a detection matches at most one person that it overlaps enough."""
    model = load_model("eval", config)
    persons = read_truth(truth)
    preprocess = Preprocessor(model.input, 1)
    wanted = model.filter(classes=["person"])
    frames = hits = found = there = 0
    with av.open(str(video)) as container:
        for number, picture in enumerate(container.decode(video=0), start=1):
            if limit is not None and number > limit:
                break
            tensor, letterboxes = preprocess([picture])
            (detections,) = model.detect(tensor, letterboxes, [wanted])
            real = persons.get(number, np.zeros((0, 4), np.float32))
            frames += 1
            hits += matches(detections.xyxy, real, overlap)
            found += len(detections)
            there += len(real)
    return PetsScore(frames, hits / max(found, 1), hits / max(there, 1))


def read_truth(path: Path) -> dict[int, Boxes]:
    """Corners [N, 4] of each frame's persons, from MOTChallenge's frame,id,x,y,w,h,...; frames from 1."""
    rows: dict[int, list[list[float]]] = defaultdict(list)
    with path.open(newline="") as file:
        for frame, _person, left, top, width, height, *_rest in csv.reader(file):
            x, y = float(left), float(top)
            rows[int(frame)].append([x, y, x + float(width), y + float(height)])
    return {frame: np.array(boxes, np.float32) for frame, boxes in rows.items()}


def matches(found: Boxes, real: Boxes, overlap: float) -> int:
    """How many of the found boxes, the most confident first, take a real box that no other has taken."""
    if not len(found) or not len(real):
        return 0
    table = pairwise_iou(found, real)
    hits = 0
    for row in table:
        best = int(row.argmax())
        if row[best] >= overlap:
            table[:, best] = 0
            hits += 1
    return hits


def pairwise_iou(one: Boxes, other: Boxes) -> Boxes:
    """Intersection over union [N, M] of corners [N, 4] and [M, 4]."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    area_one, area_other = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (one, other))
    result: Boxes = shared / (area_one[:, None] + area_other[None, :] - shared)
    return result


def main() -> int:
    """Print a model's scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default=str(SHARED / "models/yolox_nano_416_dynbatch.onnx"))
    parser.add_argument("--video", type=Path, default=SHARED / "videos/vtest_pets09s2l1_h264_7fps.mp4")
    parser.add_argument("--truth", type=Path, default=SHARED / "videos/PETS09-S2L1/gt.txt")
    parser.add_argument("--labels", default="auto")
    parser.add_argument("--confidence", type=float, default=0.4)
    parser.add_argument("--iou", type=float, default=0.45, help="of suppression")
    parser.add_argument("--overlap", type=float, default=0.5, help="least IoU of a detection and a person")
    parser.add_argument("--limit", type=int, help="only the first so many frames")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    config = ModelConfig(path=args.model, labels=args.labels, confidence=args.confidence, iou=args.iou)
    score = evaluate(config, args.video, args.truth, args.overlap, args.limit)
    if args.json:
        print(json.dumps(asdict(score)))
    else:
        print(f"{'frames':>8} {'precision':>10} {'recall':>8}")
        print(f"{score.frames:>8} {score.precision:>10.3f} {score.recall:>8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
