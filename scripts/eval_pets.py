"""Score a model's persons on a clip with MOT ground truth, through the product's own path."""

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

from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.model import ModelConfig
from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.inference.model import load_model

SHARED = Path(__file__).resolve().parents[1].parent / "shared"

Boxes = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PetsScore:
    """Precision and recall of persons over all frames.

    Attributes:
        frames: frames with ground truth.
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
        site = held.enter_context(closing(SharedGpu()))
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
    """Return NVDEC with frames left on the GPU; None for the CPU's decoder."""
    if decode == "cpu":
        return None
    return HWAccel(
        "cuda", device="0", is_hw_owned=True, allow_software_fallback=False, options={"primary_ctx": "1"}
    )


def read_truth(path: Path) -> dict[int, Boxes]:
    """Return each frame's persons [N, 4] (corners) from MOTChallenge's frame,id,x,y,w,h,...; frames from 1."""
    return {frame: boxes.astype(np.float32) for frame, (_ids, boxes) in read_tracks(path).items()}


def read_tracks(path: Path) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return each frame's persons as ids [N] and corners [N, 4], likewise."""
    rows: dict[int, list[list[float]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for frame, person, left, top, width, height, *_rest in csv.reader(file):
            x, y = float(left), float(top)
            rows[int(frame)].append([float(person), x, y, x + float(width), y + float(height)])
    tables = {frame: np.array(each) for frame, each in rows.items()}
    return {frame: (table[:, 0].astype(np.int64), table[:, 1:]) for frame, table in tables.items()}


def matches(found: Boxes, real: Boxes, overlap: float) -> int:
    """Return how many found boxes, most confident first, match a real box that is still unmatched."""
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
    """Return the intersection over union [N, M] of corners [N, 4] and [M, 4]."""
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
    parser.add_argument("--overlap", type=float, default=0.5, help="least IoU of a detection with a person")
    parser.add_argument("--backend", choices=["onnxruntime", "tensorrt"], default="onnxruntime")
    parser.add_argument(
        "--precision", choices=["fp32", "fp16", "int8"], default="fp16", help="precision of the engine"
    )
    parser.add_argument("--engine-folder", default="engines", help="where engines are kept")
    parser.add_argument("--calibration", help="folder of calibration images for INT8")
    parser.add_argument("--decode", choices=["cpu", "nvdec"], default="cpu")
    parser.add_argument("--limit", type=int, help="use only the first N frames")
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
