"""Engines of files that fix their batch, and of files that leave their size open, against ONNX Runtime."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import av
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.gpu.device.here import needs_gpu

from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.model import ModelConfig
from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.inference.model import load_model
from framelane.measure.verify import verify
from framelane.models.artifact import Artifact
from framelane.models.engines.cache import BuildOptions, DeviceFacts, ensure_engine
from framelane.models.engines.profiles import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.gpu, needs_gpu, pytest.mark.timeout(280)]

STRIDE = 16
CLASSES = {0: "one", 1: "other"}
ROWS = 4 + len(CLASSES)
TACTICS = tuple(filter(None, os.environ.get("FRAMELANE_TEST_TACTICS", "").split(",")))
"""For a TensorRT without cuBLAS and cuDNN: EDGE_MASK_CONVOLUTIONS."""


def write_tiny_model(path: Path, batch: int | str, size_wh: tuple[int, int] | None) -> Path:
    """Two convolutions with random weights in Ultralytics' v8 layout; a size of None is left open."""
    random = np.random.default_rng(5)
    weights = {
        "first": random.normal(0, 0.1, (16, 3, STRIDE, STRIDE)),
        "second": random.normal(0, 0.3, (ROWS, 16, 1, 1)),
        "scale": np.array([160, 140, 60, 60, 1, 1]).reshape(1, ROWS, 1),
    }
    nodes = [
        helper.make_node("Conv", ["images", "first"], ["a"], strides=[STRIDE, STRIDE]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"]),
        helper.make_node("Reshape", ["c", "flat"], ["d"]),
        helper.make_node("Sigmoid", ["d"], ["e"]),
        helper.make_node("Mul", ["e", "scale"], ["output0"]),
    ]
    width, height = size_wh or ("W", "H")
    anchors = "A" if size_wh is None else size_wh[0] * size_wh[1] // STRIDE**2
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, height, width])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [batch, ROWS, anchors])],
        [
            *(numpy_helper.from_array(each.astype(np.float32), name) for name, each in weights.items()),
            numpy_helper.from_array(np.array([0, ROWS, -1]), "flat"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"names": str(CLASSES), "stride": str(STRIDE), "task": "detect"})
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def pictures(footage: Path) -> list[av.VideoFrame]:
    with av.open(str(footage / "h264.mp4")) as container:
        return list(container.decode(video=0))[:6]


@pytest.fixture
def site() -> Iterator[SharedGpu]:
    with closing(SharedGpu()) as site:
        yield site


def section(path: Path, batch: int, size_wh: tuple[int, int]) -> ModelConfig:
    """One that finds an engine and builds none."""
    engine = EngineConfig(folder=str(path.parent / "engines"), build="never", min_batch=batch)
    more = {"batch": batch, "size": list(size_wh), "slots": 1, "confidence": 0.5, "engine": engine}
    return ModelConfig.model_validate({"path": str(path), "backend": "tensorrt", **more})


def build(config: ModelConfig, site: SharedGpu, profile: Profile) -> None:
    allowed = config.model_copy(update={"engine": config.engine.model_copy(update={"build": "auto"})})
    facts = DeviceFacts(site.device.name, site.device.capability)
    with site.device.current():
        ensure_engine("tiny", allowed, Artifact.open(config.path), facts, BuildOptions(profile, TACTICS))


def check(config: ModelConfig, site: SharedGpu, pictures: list[av.VideoFrame]) -> None:
    """The engine's raw output and detections are ONNX Runtime's, as far as halves go."""
    with (
        closing(load_model("cpu", config.model_copy(update={"backend": "onnxruntime"}))) as reference,
        closing(load_model("gpu", config, site)) as engine,
    ):
        result = verify(reference, engine, pictures, config.batch, 0.9)
    assert len(result.outputs) == 1
    assert result.outputs[0].mean < 0.005 * result.outputs[0].magnitude
    assert result.agreement.reference > len(pictures)
    assert result.passed, result


@pytest.mark.parametrize("batch", [1, 3])
def test_engine_of_a_file_that_fixes_its_batch(
    tmp_path: Path, site: SharedGpu, pictures: list[av.VideoFrame], batch: int
) -> None:
    size_wh = (320, 256)
    config = section(write_tiny_model(tmp_path / "tiny.onnx", batch, size_wh), batch, size_wh)
    build(config, site, Profile((batch,) * 3, (size_wh,) * 3))
    check(config, site, pictures)


def test_engine_of_a_file_that_leaves_its_size_open_serves_each_size_of_its_profile(
    tmp_path: Path, site: SharedGpu, pictures: list[av.VideoFrame]
) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx", "N", None)
    build(section(path, 2, (320, 256)), site, Profile((1, 2, 4), ((160, 160), (320, 256), (640, 480))))
    for size_wh in ((160, 160), (320, 256), (640, 480)):
        check(section(path, 2, size_wh), site, pictures)
