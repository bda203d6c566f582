"""Loading: what a model says of itself, and what it logs."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING

import av
import pytest
from structlog.testing import capture_logs
from tests.models import tiny_models

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.inference import model as model_module
from framelane.inference.backends.cpu.backend import OnnxRuntimeBackend
from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.inference.model import BACKENDS, Load, load_model

if TYPE_CHECKING:
    from pathlib import Path


REASON = "no NVIDIA driver (libcuda.so.1 is missing): install it"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8([])], metadata=tiny_models.NAMES)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "why_absent", lambda: REASON)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[Load]:
    """A host with all that TensorRT needs; its backend is the CPU's, and notes what it was asked for."""
    asked: list[Load] = []

    def tensorrt(load: Load) -> OnnxRuntimeBackend:
        asked.append(load)
        return OnnxRuntimeBackend(load.artifact)

    monkeypatch.setattr(model_module, "why_absent", lambda: None)
    monkeypatch.setitem(BACKENDS, "tensorrt", tensorrt)
    return asked


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_load_model_tells_consumers_what_it_is(backend: str, path: Path) -> None:
    info = load_model("gate", ModelConfig.model_validate({"path": str(path), "backend": backend})).info
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ("gate", digest[:12], "onnxruntime") == (info.name, info.hash, info.backend)
    assert info.labels == ("person", "bicycle", "car")


def test_load_model_logs_what_it_found(path: Path) -> None:
    with capture_logs() as logs:
        load_model("gate", ModelConfig(path=str(path)))
    (entry,) = (entry for entry in logs if entry["event"] == "model_loaded")
    expected = {"model": "gate", "head": "yolov8", "size": "160x128", "classes": 3, "batch": "any"}
    assert expected == {key: entry[key] for key in expected}


def test_load_model_takes_thresholds_from_its_section(path: Path) -> None:
    model = load_model("gate", ModelConfig(path=str(path), confidence=0.25, iou=0.6, max_det=7))
    assert (model.filter().floor, model.postprocess.iou, model.postprocess.max_det) == (0.25, 0.6, 7)


def test_runner_makes_detections_of_pictures_and_lets_them_go(path: Path) -> None:
    model = load_model("gate", ModelConfig(path=str(path)))
    pictures = [av.VideoFrame(64, 48, "yuv420p") for _ in range(2)]
    with closing(model.runner(4)) as runner:
        runner.open()
        found = runner.detect(pictures, [model.filter()] * 2, [None] * 2)
    assert (len(found.detections), pictures) == (2, [])


@pytest.mark.usefixtures("no_gpu")
def test_auto_says_why_it_takes_the_cpu(path: Path) -> None:
    with capture_logs() as logs:
        load_model("gate", ModelConfig(path=str(path)))
    (entry,) = (entry for entry in logs if entry["event"] == "backend_fallback")
    expected = {"model": "gate", "backend": "onnxruntime", "reason": REASON}
    assert expected == {key: entry[key] for key in expected}


@pytest.mark.usefixtures("no_gpu")
def test_tensorrt_is_refused_where_it_can_not_be_had(path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        load_model("gate", ModelConfig(path=str(path), backend="tensorrt"))
    assert str(raised.value) == f"{path} can't run with `backend: tensorrt`: {REASON}"


@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
def test_a_gpu_is_used_where_there_is_one(backend: str, path: Path, gpu: list[Load]) -> None:
    shared = SharedGpu(3)
    with capture_logs() as logs:
        model = load_model(
            "gate", ModelConfig.model_validate({"path": str(path), "backend": backend}), shared
        )
    (load,) = gpu
    assert model.info.backend == "tensorrt"
    assert (load.name, load.artifact.path, load.size_wh, load.gpu) == ("gate", path, (160, 128), shared)
    assert "backend_fallback" not in {entry["event"] for entry in logs}


def test_the_cpu_is_used_where_it_is_asked_for(path: Path, gpu: list[Load]) -> None:
    assert (
        load_model("gate", ModelConfig(path=str(path), backend="onnxruntime")).info.backend == "onnxruntime"
    )
    assert gpu == []


def test_a_gpu_whose_engine_can_not_be_had_does_not_fall_back(
    path: Path, gpu: list[Load], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_load: Load) -> OnnxRuntimeBackend:
        raise ModelError("there is no engine, and `engine.build: never`")

    monkeypatch.setitem(BACKENDS, "tensorrt", refuse)
    with pytest.raises(ModelError, match="there is no engine"):
        load_model("gate", ModelConfig(path=str(path)))


def test_a_model_whose_labels_do_not_fit_lets_its_backend_go(
    path: Path, gpu: list[Load], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[OnnxRuntimeBackend] = []

    def close(session: OnnxRuntimeBackend) -> None:
        closed.append(session)

    monkeypatch.setattr(OnnxRuntimeBackend, "close", close)
    with pytest.raises(ModelError):
        load_model("gate", ModelConfig(path=str(path), labels=["only one"]))
    assert len(closed) == 1
