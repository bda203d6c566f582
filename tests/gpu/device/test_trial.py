"""Models tried on a GPU when they are loaded: layouts and batches, as on the CPU."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from tests.gpu.device.here import needs_gpu
from tests.models import tiny_models
from tests.models.batch_models import FIRST_FOR_ALL, GOOD, save_batches
from tests.models.heads.scenes import LABELS, SCENE
from tests.models.tiny_models import Box

from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.inference.model import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import onnx

    from framelane.core.frames import Detections
    from framelane.inference.model import Model

pytestmark = [pytest.mark.gpu, needs_gpu, pytest.mark.timeout(280)]

CAR, PERSON = Box((8, 6.4, 72, 70.4), 2, 0.9), Box((96, 64, 128, 89.6), 0, 0.8)


def config(path: Path, folder: Path, batch: int = 4) -> ModelConfig:
    engine = EngineConfig(folder=str(folder), level=0)
    return ModelConfig(
        path=str(path), backend="tensorrt", precision="fp32", engine=engine, batch=batch, labels=LABELS
    )


@pytest.fixture
def loaded() -> Iterator[list[Model]]:
    models: list[Model] = []
    yield models
    for model in models:
        model.close()


def detect(model: Model, count: int) -> list[Detections]:
    white = [
        av.VideoFrame.from_ndarray(np.full((128, 160), 255, np.uint8), format="gray") for _ in range(count)
    ]
    with closing(model.runner(count)) as runner:
        runner.open()
        return runner.detect(white, [model.filter()] * count, [None] * count).detections


@pytest.mark.parametrize("count", [1, 3, 4])
def test_rtdetr_boxes_come_back_in_pixels(
    count: int, loaded: list[Model], tmp_path: Path, engine_folder: Path
) -> None:
    path = tiny_models.save(tmp_path / "rtdetr.onnx", [tiny_models.rtdetr([CAR, PERSON])])
    loaded.append(load_model("tiny", config(path, engine_folder)))
    assert loaded[0].head.name == "rtdetr"
    for found in detect(loaded[0], count):
        assert found.class_id.tolist() == [2, 0]
        np.testing.assert_allclose(found.xyxy, [CAR.xyxy, PERSON.xyxy], atol=0.05)
        np.testing.assert_allclose(found.confidence, [0.9, 0.8], atol=0.001)


@pytest.mark.parametrize(("nodes", "batch"), [(GOOD, 4), (FIRST_FOR_ALL, 1)], ids=["sound", "first for all"])
def test_batches_are_as_large_as_every_picture_gets_its_own_detections(
    nodes: Sequence[onnx.NodeProto], batch: int, loaded: list[Model], tmp_path: Path, engine_folder: Path
) -> None:
    path = save_batches(tmp_path / "batches.onnx", nodes, tiny_models.end2end(SCENE))
    loaded.append(load_model("tiny", config(path, engine_folder)))
    assert loaded[0].batch == batch
    assert len(loaded[0].doubts) == (batch == 1)
    for found in detect(loaded[0], 4):
        np.testing.assert_allclose(found.confidence, [0.9, 0.7, 0.6], atol=0.01)


def test_logits_are_refused(tmp_path: Path, engine_folder: Path) -> None:
    output = tiny_models.yolov8(SCENE)
    output[:, 4:] = -8
    path = tiny_models.save(tmp_path / "logits.onnx", [output])
    with pytest.raises(ModelError, match="they look like logits"):
        load_model("tiny", config(path, engine_folder))
