"""Export detectors with random weights as their own projects do, with what those projects find in one image.

Runs in an environment of its own, which needs none of Framelane:
`pip install ultralytics rfdetr onnx onnxruntime onnxslim`. For each case it writes NAME.onnx and NAME.npz: the
prepared image, the size of the source, and the objects that the exporter's own predict() reports.
`scripts/compare_exports.py` reads them. `--bench` exports the models of the benchmarks instead, as they are
initialized: NAME.onnx, for lab.busy_model.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import tempfile
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import cv2
import numpy as np
import rfdetr
import torch
import ultralytics
from torchvision.transforms import functional

from lab.exports import BENCH_CASES, CASES, CONFIDENCE, IMAGE, IOU

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lab.exports import Case

# Standard deviation of the values of a network's last layers.
_SPREAD = 1.5


def main() -> int:
    """Export the chosen cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--only", default="", help="a regular expression for the cases' names")
    parser.add_argument("--image", type=Path, default=IMAGE)
    parser.add_argument("--bench", action="store_true", help="export the models of the benchmarks")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for case in BENCH_CASES if args.bench else CASES:
        path = args.folder / f"{case.name}.{'onnx' if args.bench else 'npz'}"
        if re.search(args.only, case.name) and not path.exists():
            print(f"{case.name} ...", flush=True)
            export = _export_rfdetr if case.config.startswith("RFDETR") else _export_ultralytics
            found = export(case, None if args.bench else args.image, path.with_suffix(".onnx"))
            if not args.bench:
                np.savez_compressed(path, head=case.head, classes=case.classes, **found)
    return 0


def _export_ultralytics(case: Case, image: Path | None, path: Path) -> dict[str, Any]:
    """Export a model and return what it finds in the image; without one, leave it as it is initialized."""
    torch.manual_seed(1)
    base = re.sub(r"(yolo\D*\d+)[nsmlx]", r"\1", case.config)
    source = next(
        each
        for each in (ultralytics.utils.ROOT / "cfg/models").rglob("*.yaml")
        if each.stem in {base, case.config}
    )
    kind = ultralytics.RTDETR if case.config.startswith("rtdetr") else ultralytics.YOLO
    with tempfile.TemporaryDirectory() as folder:
        text = re.sub(r"(?m)^nc: \d+", f"nc: {case.classes}", source.read_text())
        # Ultralytics reads the scale from the name that it is given, and looks for both files.
        for name in (source.name, f"{case.config}.yaml"):
            (Path(folder) / name).write_text(text)
        model = kind(str(Path(folder) / f"{case.config}.yaml"))
        if image is not None:
            _liven(model.model, case.classes, case.size, image)
        model.save(str(Path(folder) / "m.pt"))
        task = model.task
        written = kind(str(Path(folder) / "m.pt")).export(
            format="onnx", imgsz=case.size, conf=CONFIDENCE, iou=IOU, verbose=False, **case.options
        )
        path.write_bytes(Path(written).read_bytes())
    if image is None:
        return {}
    return _predict(
        kind(str(path)) if kind is ultralytics.RTDETR else kind(str(path), task=task), case, image
    )


def _liven(model: torch.nn.Module, classes: int, size: int | tuple[int, int], image: Path) -> None:
    """Give a network with random weights plausible outputs: some objects, of various angles, masks and points."""
    wh = (size, size) if isinstance(size, int) else (size[1], size[0])
    pixels = cv2.resize(_pixels(image), wh).transpose(2, 0, 1)[None].astype(np.float32) / 255
    batch = torch.from_numpy(pixels)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
            module.momentum = 0.3
    with torch.no_grad():
        for _ in range(10):
            model(batch)
        model.eval()
        for name, module in model.model[-1].named_modules():
            scores = re.search(r"cv3\.\d+\.\d+$|dec_score_head\.\d+$", name) is not None
            extras = re.search(r"cv4\w*\.\d+(\.\d+)?$", name) is not None
            if (scores or extras) and isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                _spread(module, lambda: model(batch), _least_mean(classes) if scores else 0.0)


def _pixels(image: Path) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(image))
    if pixels is None:
        raise SystemExit(f"{image} is no image")
    return pixels.astype(np.uint8)


def _least_mean(classes: int) -> float:
    """Return the mean of logits for which about one prediction in twenty passes the threshold."""
    return math.log(CONFIDENCE / (1 - CONFIDENCE)) - _SPREAD * NormalDist().inv_cdf(1 - 0.05 / classes)


def _spread(module: torch.nn.Module, run: Callable[[], object], mean: float) -> None:
    """Scale a layer so that each of its channels has this mean, and the spread of all layers."""
    seen: list[Any] = []
    hook = module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    run()
    hook.remove()
    # Some layers run only during training.
    if not seen:
        return
    channels = seen[-1].movedim(1, -1) if isinstance(module, torch.nn.Conv2d) else seen[-1]
    rows = channels.reshape(-1, channels.shape[-1])
    scale = _SPREAD / rows.std(0).clamp(min=1e-6)
    module.weight.mul_(scale.view(-1, *[1] * (module.weight.ndim - 1)))
    module.bias.copy_(mean + (module.bias - rows.mean(0)) * scale)


def _predict(model: ultralytics.engine.model.Model, case: Case, image: Path) -> dict[str, Any]:
    pixels = _pixels(image)
    found = model.predict(
        pixels, imgsz=case.size, conf=CONFIDENCE, iou=IOU, rect=False, verbose=False, max_det=300, save=False
    )[0]
    tensor = model.predictor.preprocess([pixels]).float().cpu().numpy()
    boxes = found.obb if found.obb is not None else found.boxes
    told: dict[str, Any] = {
        "tensor": tensor,
        "source_wh": np.array([pixels.shape[1], pixels.shape[0]]),
        "xyxy": boxes.xyxy.cpu().numpy(),
        "confidence": boxes.conf.cpu().numpy(),
        "class_id": boxes.cls.cpu().numpy(),
    }
    if found.obb is not None:
        told["corners"] = found.obb.xyxyxyxy.cpu().numpy()
        told["angle"] = found.obb.xywhr[:, 4].cpu().numpy()
    if found.keypoints is not None:
        told["keypoints"] = found.keypoints.data.cpu().numpy()
    if found.masks is not None:
        told["masks"] = found.masks.data.cpu().numpy() > 0
    return told


def _export_rfdetr(case: Case, image: Path | None, path: Path) -> dict[str, Any]:
    """Export a model and return what it finds in the image; without one, leave it as it is initialized."""
    torch.manual_seed(1)
    model = getattr(rfdetr, case.config)(pretrain_weights=None, num_classes=case.classes, device="cpu")
    if image is None:
        _write_rfdetr(model, case, path)
        return {}
    side = model.model.resolution
    pixels = cv2.cvtColor(_pixels(image), cv2.COLOR_BGR2RGB)
    if case.head.endswith("seg"):
        # So that masks have the size of the input.
        pixels = cv2.resize(pixels, (side, side))
    with torch.no_grad():
        for name, module in model.model.model.named_modules():
            if name.startswith("class_embed") and isinstance(module, torch.nn.Linear):
                _spread(module, lambda: model.predict(pixels), _least_mean(case.classes + 1))
    _write_rfdetr(model, case, path)
    found = model.predict(pixels, threshold=CONFIDENCE)
    planes = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 255
    scaled = functional.resize(planes, [side, side], antialias=False)
    told = {
        "tensor": functional.normalize(scaled, model.means, model.stds)[None].numpy(),
        "source_wh": np.array([pixels.shape[1], pixels.shape[0]]),
        "xyxy": found.xyxy,
        "confidence": found.confidence,
        "class_id": found.class_id,
    }
    if found.mask is not None:
        told["masks"] = found.mask
    return told


def _write_rfdetr(model: rfdetr.RFDETR, case: Case, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model.export(output_dir=folder, **case.options)
        path.write_bytes(next(Path(folder).glob("*.onnx")).read_bytes())


if __name__ == "__main__":
    sys.exit(main())
