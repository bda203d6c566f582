"""Box decoding and suppression by the kernels on what real models say of pictures: as on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from tests.inference.backends.cuda.both_paths import BothPaths

import framelane
from framelane.config.sections.model import ModelConfig
from framelane.demo.scene import Scene
from framelane.inference.model import load_model
from framelane.models.input.preprocess import Preprocessor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tests.gpu.machines import Machine

    from framelane.inference.model import Model

DEMO = Path(framelane.__file__).parent / "demo" / "assets" / "framelane-demo.onnx"
SHARED = Path(__file__).resolve().parents[4].parent / "shared"
YOLOX = SHARED / "models/yolox_nano_416_dynbatch.onnx"


def found(
    machine: Machine,
    model: Model,
    pictures: list[NDArray[np.uint8]],
    confidence: float,
    dtype: str = "float32",
) -> int:
    """Boxes that both paths find in a batch of BGR pictures."""
    frames = [av.VideoFrame.from_ndarray(picture, format="bgr24") for picture in pictures]
    tensor, letterboxes = Preprocessor(model.input, len(frames))(frames)
    output = model.infer(tensor)[0].astype(dtype)
    filters = [model.filter(confidence=confidence)] * len(frames)
    iou, max_det = model.postprocess.iou, model.postprocess.max_det
    case = BothPaths(machine, model.head, output, filters, letterboxes, iou=iou, max_det=max_det)
    return sum(len(one) for one in case.check())


@pytest.mark.parametrize(("confidence", "dtype"), [(0.4, "float32"), (0.01, "float32"), (0.01, "float16")])
def test_the_demo_model_finds_the_same(machine: Machine, confidence: float, dtype: str) -> None:
    model = load_model("demo", ModelConfig(path=str(DEMO)))
    pictures = [Scene(seed).render(7.0)[0] for seed in (24, 25, 26)]
    assert found(machine, model, pictures, confidence, dtype) > 10


@pytest.mark.shared
@pytest.mark.skipif(not YOLOX.exists(), reason=f"needs the models and pictures in {SHARED}")
@pytest.mark.parametrize(("confidence", "iou"), [(0.01, 0.65), (0.4, 0.45)])
def test_yolox_nano_finds_the_same(machine: Machine, confidence: float, iou: float) -> None:
    cv2 = pytest.importorskip("cv2")
    model = load_model("yolox", ModelConfig(path=str(YOLOX), labels="coco", iou=iou))
    paths = sorted((SHARED / "images/coco_val128").glob("*.jpg"))
    total = 0
    for start in range(0, len(paths), 8):
        pictures = [cv2.imread(str(path)) for path in paths[start : start + 8]]
        total += found(machine, model, pictures, confidence)
    assert total > 300
