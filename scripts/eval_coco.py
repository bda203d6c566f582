"""Score a model on COCO-style images through the product's own decoding, inference and postprocessing."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.model import ModelConfig
from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.inference.model import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from framelane.core.frames import Detections
    from framelane.inference.model import Model

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@dataclass(frozen=True, slots=True)
class CocoScore:
    """COCO's two headline figures, 0 to 1.

    Attributes:
        images: number of images.
        map: average precision over IoU .50 to .95.
        map50: average precision at IoU .50.
        ms_per_image: wall time of the whole path.
    """

    images: int
    map: float
    map50: float
    ms_per_image: float


def evaluate(
    config: ModelConfig, images: Path, annotations: Path | None = None, limit: int | None = None
) -> CocoScore:
    """Score a model on a folder of images with COCO annotations (default: its `annotations.json`)."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations or images / "annotations.json"))
    # Some copies of the annotations write names with underscores.
    category = {entry["name"].replace("_", " "): entry["id"] for entry in truth.dataset["categories"]}
    ids = sorted(truth.imgs)[:limit]
    paths = [images / truth.imgs[image]["file_name"] for image in ids]
    closing = contextlib.closing
    with closing(SharedGpu()) as site, closing(load_model("eval", config, site)) as model:
        start_s = time.perf_counter()
        found = list(detect_all(model, paths, config.batch or model.backend.best_batch))
        wall_s = time.perf_counter() - start_s
    rows = [
        row
        for image, detections in zip(ids, found, strict=True)
        for row in _rows(image, detections, model.info.labels, category)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        scorer = COCOeval(truth, truth.loadRes(rows), "bbox")
        scorer.params.imgIds = ids
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return CocoScore(len(ids), float(scorer.stats[0]), float(scorer.stats[1]), wall_s / len(ids) * 1e3)


def detect_all(model: Model, paths: Sequence[Path], batch: int) -> Iterator[Detections]:
    """Return the detections of each image, in order, at the model's own thresholds."""
    everything = model.filter()
    with contextlib.closing(model.runner(batch)) as runner:
        runner.open()
        for start in range(0, len(paths), batch):
            pictures = [_decode(path) for path in paths[start : start + batch]]
            count = len(pictures)
            yield from runner.detect(pictures, [everything] * count, [None] * count).detections


def _decode(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def _rows(
    image: int, detections: Detections, labels: Sequence[str], category: dict[str, int]
) -> Iterator[dict[str, Any]]:
    columns = zip(
        detections.xyxy.tolist(), detections.confidence.tolist(), detections.class_id.tolist(), strict=True
    )
    for (x1, y1, x2, y2), score, class_id in columns:
        name = labels[class_id].replace("_", " ")
        if name in category:
            yield {
                "image_id": image,
                "category_id": category[name],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "score": score,
            }


def main() -> int:
    """Print a model's scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default=str(SHARED / "models/yolox_nano_416_dynbatch.onnx"))
    parser.add_argument("--images", type=Path, default=SHARED / "images/coco_val128")
    parser.add_argument("--annotations", type=Path, help="annotations.json in the image folder by default")
    parser.add_argument("--labels", default="auto")
    parser.add_argument("--head", default="auto")
    parser.add_argument("--confidence", type=float, default=0.01)
    parser.add_argument("--iou", type=float, default=0.65)
    parser.add_argument("--max-det", type=int, default=300)
    parser.add_argument("--batch", type=int, default=0, help="batch size; 0 selects the backend's default")
    parser.add_argument("--backend", choices=["onnxruntime", "tensorrt"], default="onnxruntime")
    parser.add_argument(
        "--precision", choices=["fp32", "fp16", "int8"], default="fp16", help="precision of the engine"
    )
    parser.add_argument("--engine-folder", default="engines", help="where engines are kept")
    parser.add_argument("--calibration", help="folder of calibration images for INT8")
    parser.add_argument("--limit", type=int, help="use only the first N images")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    config = ModelConfig(
        path=args.model,
        head=args.head,
        labels=args.labels,
        confidence=args.confidence,
        iou=args.iou,
        max_det=args.max_det,
        batch=args.batch,
        backend=args.backend,
        precision=args.precision,
        engine=EngineConfig(folder=args.engine_folder, calibration=args.calibration),
        slots=1,
    )
    score = evaluate(config, args.images, args.annotations, args.limit)
    if args.json:
        print(json.dumps(asdict(score)))
    else:
        print(f"{'images':>8} {'mAP':>8} {'mAP50':>8} {'ms/image':>9}")
        print(f"{score.images:>8} {score.map:>8.3f} {score.map50:>8.3f} {score.ms_per_image:>9.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
