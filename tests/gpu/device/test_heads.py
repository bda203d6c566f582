"""Heads of every family through TensorRT, against the same file on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from tests.gpu.device.here import needs_gpu
from tests.models import second_files, tiny_models
from tests.models.heads import test_rfdetr, test_rtdetr, test_yolonas, test_yunet
from tests.models.heads.scenes import CAR_IN_FRONT, LABELS, PERSON
from tests.models.heads.test_ultralytics_tasks import HEADS, NOTES, outputs_of

from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.model import ModelConfig
from framelane.inference.backends.cuda.finish import KernelFinish
from framelane.inference.backends.cuda.runner import CudaRunner
from framelane.inference.model import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.core.frames import Detections

pytestmark = [pytest.mark.gpu, needs_gpu, pytest.mark.timeout(580)]

OWN_LABELS = {"yunet": ["face"], "classifier": list(second_files.COLORS)}
COCO_LABELS = {"rfdetr-coco": "coco"}
BOXES = [PERSON, CAR_IN_FRONT]
OTHERS = ("rtdetr", "rtdetr-scores", "detr", "rfdetr", "rfdetr-coco", "rfdetr-seg", "yolonas")
# Heads that the CPU decodes.
WITHOUT_KERNELS = ("detr", "yunet", "classifier")
# One object; the person's column stands for no class of COCO.
ONE = ("classifier", "rtdetr-scores", "rfdetr-coco")
ATOL = 1.0
"""Pixels of a picture that is four times the model's size; FP16 rounds a corner to 1/8 of the model's pixels."""


def save(name: str, path: Path) -> Path:
    if name == "detr":
        return tiny_models.save_detr(path, BOXES)
    if name == "classifier":
        return second_files.color_classifier(path, gain=60.0)
    if name in HEADS:
        return tiny_models.save(path, outputs_of(name), metadata=NOTES[name.rsplit("-", 1)[1]])
    faces = second_files.yunet(test_yunet.FACES, test_yunet.POINTS)
    outputs, names = {
        "rtdetr": ([tiny_models.rtdetr(BOXES)], ()),
        "rtdetr-scores": ([test_rtdetr.scored()], ()),
        "rfdetr": (test_rfdetr.outputs(BOXES), tuple(test_rfdetr.NAMES[:2])),
        "rfdetr-coco": (test_rfdetr.outputs(BOXES, 91), tuple(test_rfdetr.NAMES[:2])),
        "rfdetr-seg": (query_masks(), tuple(test_rfdetr.NAMES)),
        "yunet": (list(faces.values()), tuple(faces)),
        "yolonas": (test_yolonas.outputs(), ()),
    }[name]
    return tiny_models.save(path, outputs, names=names)


def query_masks() -> list[NDArray[np.float32]]:
    """Queries with a mask each of its own size."""
    arrays = test_rfdetr.outputs(BOXES, masks=True)
    for query, end in ((0, 12), (3, 28)):
        arrays[2][0, query] = -1
        arrays[2][0, query, 4:end, 5:end] = 1
    return arrays


def detect(name: str, config: ModelConfig, pictures: list[av.VideoFrame]) -> tuple[str, list[Detections]]:
    model = load_model("tiny", config)
    try:
        runner = model.runner(2)
        try:
            runner.open()
            if isinstance(runner, CudaRunner):
                assert isinstance(runner._finish, KernelFinish) == (name not in WITHOUT_KERNELS)
            wanted, crops = [model.filter()] * 2, [None] * 2
            return model.head.name, runner.detect(list(pictures), wanted, crops).detections
        finally:
            runner.close()
    finally:
        model.close()


@pytest.mark.parametrize("name", [*HEADS, *OTHERS, *OWN_LABELS])
def test_head_finds_on_the_gpu_what_it_finds_on_the_cpu(
    name: str, tmp_path: Path, footage: Path, engine_folder: Path
) -> None:
    with av.open(str(footage / "h264.mp4")) as container:
        pictures = [frame for frame, _ in zip(container.decode(video=0), range(2), strict=False)]
    path = save(name, tmp_path / f"{name}.onnx")
    config = ModelConfig(
        path=str(path),
        labels=COCO_LABELS.get(name) or OWN_LABELS.get(name, LABELS),
        batch=2,
        slots=1,
        engine=EngineConfig(folder=str(engine_folder)),
    )
    head, expected = detect(name, config.model_copy(update={"backend": "onnxruntime"}), pictures)
    seen, actual = detect(name, config.model_copy(update={"backend": "tensorrt"}), pictures)
    assert (seen, len(expected[0])) == (head, 1 if name in ONE else 2)
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(other.class_id, one.class_id)
        np.testing.assert_allclose(other.confidence, one.confidence, atol=0.01)
        np.testing.assert_allclose(other.xyxy, one.xyxy, atol=ATOL)
        for field in ("keypoints", "corners", "angle"):
            if getattr(one, field) is None:
                assert getattr(other, field) is None
            else:
                np.testing.assert_allclose(getattr(other, field), getattr(one, field), atol=ATOL)
        assert (one.masks is None) == (other.masks is None)
        if one.masks is None or other.masks is None:
            continue
        for mine, theirs in zip(one.masks, other.masks, strict=True):
            for points, others in zip(mine, theirs, strict=True):
                np.testing.assert_allclose(others.min(axis=0), points.min(axis=0), atol=ATOL)
                np.testing.assert_allclose(others.max(axis=0), points.max(axis=0), atol=ATOL)
