"""Score a model's conversions to half precision and INT8 on COCO-style images through ONNX Runtime.

    python scripts/eval_precision.py yolox_nano.onnx --images coco_val128
    python scripts/eval_precision.py rf-detr.onnx --images coco_val128 --agreement --pictures 24 --labels names.txt

Prints average precision, and the share of detections at --confidence that agree with the original file: the
same class at IoU .5, at .9, and at .99 with a confidence within .005. --agreement leaves average precision out,
which a network with random weights has none of.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import eval_coco
from framelane.config.sections.model import ModelConfig
from framelane.inference.model import load_model
from framelane.measure.verify import agree, detect_all, pictures_in
from framelane.models.artifact import Artifact
from framelane.models.engines.calibrate import calibration_pictures
from framelane.models.engines.precision import Calibration, input_spec, prepare

if TYPE_CHECKING:
    from framelane.core.frames import Detections
    from framelane.models.engines.key import Precision

WAYS: dict[str, tuple[Precision, bool]] = {
    "fp32": ("fp32", True),
    "fp16": ("fp16", True),
    "int8": ("int8", False),
    "int8, halves": ("int8", True),
}


def main() -> int:
    """Print the scores of each precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model", nargs="?", default=str(eval_coco.SHARED / "models/yolox_nano_416_dynbatch.onnx")
    )
    parser.add_argument("--images", type=Path, default=eval_coco.SHARED / "images/coco_val128")
    parser.add_argument("--calibration", type=Path, help="calibration images (default: the same images)")
    parser.add_argument("--labels", default="auto")
    parser.add_argument("--confidence", type=float, default=0.25, help="threshold of the compared detections")
    parser.add_argument("--agreement", action="store_true", help="compare detections, without their truth")
    parser.add_argument(
        "--pictures", type=int, default=5000, help="most images whose detections are compared"
    )
    parser.add_argument("--head", default="auto", help="as in the configuration")
    args = parser.parse_args()
    artifact = Artifact.open(args.model)
    trial = ModelConfig(path=args.model, labels=args.labels, head=args.head)
    spec = input_spec(artifact, trial)
    calibration = Calibration(calibration_pictures(args.calibration or args.images), spec)
    pictures = pictures_in(args.images, args.pictures)
    as_it_is: list[Detections] = []
    print(f"{'':>14} {'mAP':>8} {'mAP50':>8} {'IoU .5':>8} {'IoU .9':>8} {'IoU .99':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (precision, typed) in WAYS.items():
            path = Path(folder) / f"{name}.onnx"
            path.write_bytes(prepare(artifact.path, precision, typed=typed, calibration=calibration).model)
            config = trial.model_copy(update={"path": str(path), "confidence": 0.01, "iou": 0.65, "batch": 1})
            score = None if args.agreement else eval_coco.evaluate(config, args.images)
            wanted = config.model_copy(update={"confidence": args.confidence, "iou": 0.45})
            with closing(load_model(name, wanted)) as model:
                found = detect_all(model, pictures, 1)
            as_it_is = as_it_is or found
            same = agree(as_it_is, found)
            shares = "".join(f" {share:>8.1%}" for share in (same.loose, same.tight, same.same))
            scores = f"{score.map:>8.3f} {score.map50:>8.3f}" if score else f"{'':>8} {'':>8}"
            print(f"{name:>14} {scores}{shares}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
