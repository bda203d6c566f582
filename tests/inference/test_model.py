"""Loading: what a model says of itself, and what it logs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.inference import tiny_models

from framelane.config.schema import ModelConfig
from framelane.inference.model import BACKENDS, load_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8([])], metadata=tiny_models.NAMES)


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
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


def test_warm_up_runs_the_size_it_is_told(path: Path) -> None:
    model = load_model("gate", ModelConfig(path=str(path)))
    model.warm_up(4)
