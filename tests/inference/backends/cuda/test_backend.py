"""TensorRT as a model's backend: from file and engine to a model whose head was recognized."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.inference.backends.cuda.fake_gpu import FakeEngine, FakeGpu, Journal
from tests.models import tiny_models

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.gpu.trt.runtime import Engine, Tensor
from framelane.inference import model as model_module
from framelane.inference.backends.cuda import backend
from framelane.inference.model import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.inference.model import Model


class Host:
    """A host whose engines are there, and note who asked for them."""

    def __init__(self, journal: Journal, path: Path) -> None:
        output = tiny_models.yolov8([])
        self.path = path
        self.gpu = FakeGpu(journal)
        self.engine = FakeEngine(
            journal,
            (
                Tensor("images", "float16", (-1, 3, 128, 160), is_input=True),
                Tensor("output0", "float32", (-1, *output.shape[1:]), is_input=False),
            ),
        )
        self.asked: list[tuple[Any, ...]] = []

    def ensure(self, name: str, config: ModelConfig, artifact: Any, device: Any) -> Any:
        self.asked.append((name, device.name, device.capability))
        return SimpleNamespace(path=self.path.with_suffix(".engine"))

    def load(self, **options: Any) -> Model:
        return load_model("gate", ModelConfig(path=str(self.path), **options), self.gpu)  # type: ignore[arg-type]


@pytest.fixture
def host(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8([])], metadata=tiny_models.NAMES)
    host = Host(journal, path)
    monkeypatch.setattr(model_module, "why_absent", lambda: None)
    monkeypatch.setattr(backend, "ensure_engine", host.ensure)
    monkeypatch.setattr(Engine, "load", lambda _path: host.engine)
    return host


def test_a_model_is_recognized_by_its_engine(host: Host, journal: Journal) -> None:
    with capture_logs() as logs:
        model = host.load()
    assert (model.info.backend, model.head.name, model.info.labels) == (
        "tensorrt",
        "yolov8",
        ("person", "bicycle", "car"),
    )
    backend = model.backend
    assert (backend.best_batch, backend.best_slots, backend.best_waiting) == (16, 2, 2)
    assert host.asked == [("gate", "NVIDIA Test", (9, 0))]
    assert journal.open == []  # what recognizing took
    (entry,) = (entry for entry in logs if entry["event"] == "engine_loaded")
    expected = {
        "engine_bytes": 2000,
        "scratch_bytes": 1000,
        "slots": 2,
        "buckets": [1, 4, 16],
        "input": "float16",
    }
    assert expected == {key: entry[key] for key in expected}


def test_raw_outputs_of_any_number_of_pictures_come_back_as_float32(host: Host) -> None:
    model = host.load(batch=4)
    (found,) = model.infer(np.zeros((9, 3, 128, 160), np.float32))
    assert (found.shape[0], found.dtype) == (9, np.float32)


def test_runners_are_made_for_the_models_labels(host: Host, journal: Journal) -> None:
    runner = host.load().runner(16)
    runner.open()
    wanted = host.load().filter()
    assert [len(each) for each in runner.detect([object()], [wanted], [None]).detections] == [0]  # type: ignore[list-item]
    runner.close()
    assert journal.open == []


def test_an_engine_for_smaller_batches_is_refused_and_freed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[object] = []
    monkeypatch.setattr(host.engine, "batch_range", lambda _name: (1, 8))
    monkeypatch.setattr(host.engine, "close", lambda: freed.append(host.engine))
    with pytest.raises(ModelError, match="takes batches of 1 to 8, not 1 to 16"):
        host.load()
    assert freed == [host.engine]


def test_a_batch_that_the_file_fixes_can_not_be_changed(host: Host, tmp_path: Path) -> None:
    host.path = tiny_models.save(
        tmp_path / "f.onnx", [tiny_models.yolov8([])], batch=2, metadata=tiny_models.NAMES
    )
    with pytest.raises(ModelError, match=r"f.onnx fixes batches of 2; `batch: 16` can't change that"):
        host.load(batch=16)
