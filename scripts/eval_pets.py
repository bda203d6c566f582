"""Scores a model's persons on a clip with MOT ground truth, through the product's own path."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from numpy.typing import NDArray

from framelane.config.schema import EngineConfig, ModelConfig
from framelane.inference.cuda.site import CudaSite
from framelane.inference.model import load_model

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
    config: ModelConfig,
    video: Path,
    truth: Path,
    overlap: float = 0.5,
    limit: int | None = None,
    *,
    decode: str = "cpu",
) -> PetsScore:
    """Score the label `person` on a clip; a detection matches at most one person that it overlaps enough."""
    persons = read_truth(truth)
    frames = hits = found = there = 0
    with ExitStack() as held:
        site = held.enter_context(closing(CudaSite()))
        model = held.enter_context(closing(load_model("eval", config, site)))
        runner = held.enter_context(closing(model.runner(1)))
        runner.open()
        wanted = model.filter(classes=["person"])
        container = held.enter_context(av.open(str(video), hwaccel=_hwaccel(decode)))
        for number, picture in enumerate(container.decode(video=0), start=1):
            if limit is not None and number > limit:
                break
            (detections,) = runner.detect([picture], [wanted], [None]).detections
            real = persons.get(number, np.zeros((0, 4), np.float32))
            frames += 1
            hits += matches(detections.xyxy, real, overlap)
            found += len(detections)
            there += len(real)
    return PetsScore(frames, hits / max(found, 1), hits / max(there, 1))


def _hwaccel(decode: str) -> HWAccel | None:
    """NVDEC, with the pictures left on the GPU; None for the CPU's decoder."""
    if decode == "cpu":
        return None
    return HWAccel(
        "cuda", device="0", is_hw_owned=True, allow_software_fallback=False, options={"primary_ctx": "1"}
    )


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
    parser.add_argument("--backend", choices=["onnxruntime", "tensorrt"], default="onnxruntime")
    parser.add_argument("--precision", choices=["fp32", "fp16", "int8"], default="fp16", help="of the engine")
    parser.add_argument("--engine-folder", default="engines", help="where engines are kept")
    parser.add_argument("--calibration", help="folder of pictures to make an INT8 engine with")
    parser.add_argument("--decode", choices=["cpu", "nvdec"], default="cpu")
    parser.add_argument("--limit", type=int, help="only the first so many frames")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    config = ModelConfig(
        path=args.model,
        labels=args.labels,
        confidence=args.confidence,
        iou=args.iou,
        backend=args.backend,
        precision=args.precision,
        engine=EngineConfig(folder=args.engine_folder, calibration=args.calibration),
        slots=1,
    )
    score = evaluate(config, args.video, args.truth, args.overlap, args.limit, decode=args.decode)
    if args.json:
        print(json.dumps(asdict(score)))
    else:
        print(f"{'frames':>8} {'precision':>10} {'recall':>8}")
        print(f"{score.frames:>8} {score.precision:>10.3f} {score.recall:>8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
