"""Half and INT8 models run through ONNX Runtime: types, placement of Q/DQ, accuracy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.models.engines.examples import fill_with_pictures

import framelane.demo
from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.inference.model import load_model
from framelane.measure.verify import LEAST_AGREEMENT, pictures_in, verify
from framelane.models.artifact import Artifact
from framelane.models.engines.calibrate import calibration_pictures
from framelane.models.engines.graph import Graph
from framelane.models.engines.half_precision import to_half
from framelane.models.engines.precision import Calibration, input_spec, prepare
from framelane.models.engines.quantize import quantized_layers

DEMO = Path(framelane.demo.__file__).parent / "assets" / "framelane-demo.onnx"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_with_pictures(tmp_path_factory.mktemp("pictures"), 128, (320, 240))


@pytest.fixture(scope="module")
def demo_int8(pictures: Path) -> bytes:
    spec = input_spec(Artifact.open(DEMO), ModelConfig(path=str(DEMO)))
    return prepare(
        DEMO, "int8", typed=False, calibration=Calibration(calibration_pictures(pictures), spec)
    ).model


def run(model: bytes | str, batch: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # float arithmetic between Q and DQ
    session = onnxruntime.InferenceSession(model, options)
    image = session.get_inputs()[0]
    return session.run(None, {image.name: batch.astype("float16" if "float16" in image.type else "float32")})[
        0
    ]


def test_half_keeps_boxes_in_float_and_close() -> None:
    prepared = prepare(DEMO, "fp16", typed=True)
    model = onnx.load_from_string(prepared.model)
    onnx.checker.check_model(model, full_check=True)
    assert prepared.halves
    assert [value.type.tensor_type.elem_type for value in model.graph.input] == [TensorProto.FLOAT16]
    assert [value.type.tensor_type.elem_type for value in model.graph.output] == [TensorProto.FLOAT]
    picture = np.random.default_rng(0).random((2, 3, 320, 320), np.float32)
    expected, actual = run(str(DEMO), picture), run(prepared.model, picture)
    assert np.abs(expected[:, 4:] - actual[:, 4:]).max() < 0.01  # scores
    assert np.abs(expected[:, :4] - actual[:, :4]).max() < 1.0  # pixels of 320


def test_int8_finds_what_float_finds(tmp_path: Path, demo_int8: bytes, pictures: Path) -> None:
    path = tmp_path / "int8.onnx"
    path.write_bytes(demo_int8)
    section = {"labels": "auto", "backend": "onnxruntime", "confidence": 0.25}
    models = [
        load_model("m", ModelConfig.model_validate({"path": str(each), **section})) for each in (DEMO, path)
    ]
    checked = verify(models[0], models[1], pictures_in(pictures, 8), 4, LEAST_AGREEMENT["int8"])
    assert checked.agreement.pictures == 8
    assert checked.outputs[0].mean < 0.05 * checked.outputs[0].magnitude


def test_qdq_is_as_tensorrt_fuses_it(demo_int8: bytes) -> None:
    model = onnx.load_from_string(demo_int8)
    onnx.checker.check_model(model, full_check=True)
    kinds = Counter(node.op_type for node in model.graph.node)
    layers = quantized_layers(Graph.load(DEMO))
    assert kinds["QuantizeLinear"] == kinds["DequantizeLinear"] == 2 * len(layers) > 50
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            zero = constants[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
            assert (constants[node.input[1]] > 0).all()
    biases = [node.input[2] for node in model.graph.node if node.op_type == "Conv" and len(node.input) > 2]
    assert {constants[name].dtype.name for name in biases} == {"float32"}


def test_last_and_depthwise_layers_are_not_quantised() -> None:
    graph = Graph.of(small_model(), "m")
    assert graph.last_layers() == ["last"]
    assert [node.name for node in quantized_layers(graph)] == ["first"]


def test_raw_offsets_are_half_all_through() -> None:
    graph = Graph.of(small_model(), "m")
    assert to_half(graph) == set()
    assert graph.model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    assert not [node for node in graph.nodes if node.op_type == "Cast"]


def test_int8_of_halves_is_refused(tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(prepare(DEMO, "fp16", typed=True).model)
    spec = input_spec(Artifact.open(DEMO), ModelConfig(path=str(DEMO)))
    with pytest.raises(ModelError, match="holds float16 already; INT8 is made from the float32 file"):
        prepare(half, "int8", typed=False, calibration=Calibration([], spec))


def test_int8_without_pictures_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"INT8 needs images; set `engine\.calibration` \(--calibration-images\)"
    ):
        prepare(DEMO, "int8", typed=False)


def small_model() -> onnx.ModelProto:
    """conv -> depthwise conv -> conv -> sigmoid and transpose."""
    random = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["images", "w1"], ["a"], "first"),
        helper.make_node("Conv", ["a", "w2"], ["b"], "depthwise", group=4),
        helper.make_node("Conv", ["b", "w3"], ["c"], "last"),
        helper.make_node("Sigmoid", ["c"], ["s"], "score"),
        helper.make_node("Transpose", ["s"], ["raw"], "turn", perm=[0, 2, 3, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["N", 8, 8, 6])],
        [weights("w1", 4, 3, 1, 1), weights("w2", 4, 1, 1, 1), weights("w3", 6, 4, 1, 1)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
