"""Models whose scores follow each image's brightness, with or without nodes that mix up a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.models import tiny_models

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = [3, tiny_models.SIZE_WH[1], tiny_models.SIZE_WH[0]]


def save_batches(path: Path, nodes: Sequence[onnx.NodeProto], table: Any, batch: int | str = "batch") -> Path:
    """A model whose nodes make `y` of the pictures and of `seen` [n, 300, 6]: scores follow the brightness."""
    constants: dict[str, NDArray[Any]] = {
        "flat": np.array([0, -1], np.int64),
        "cube": np.array([-1, 1, 1], np.int64),
        "table": np.asarray(table, np.float32),
        "mask": np.array([0, 0, 0, 0, 1, 0], np.float32),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "unit": np.array([1], np.float32),
        "dim": np.array([0.6], np.float32),
        "reach": np.array([0.3], np.float32),
        "none": np.array(0, np.float32),
        "all": np.array(1, np.float32),
    }
    before = [
        # 1 for a bright patch somewhere, 0 for noise.
        helper.make_node("AveragePool", ["images"], ["patches"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Reshape", ["patches", "flat"], ["pixels"]),
        helper.make_node("ReduceMax", ["pixels"], ["most"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["most", "dim"], ["above"]),
        helper.make_node("Div", ["above", "reach"], ["relative"]),
        helper.make_node("Clip", ["relative", "none", "all"], ["clipped"]),
        helper.make_node("Reshape", ["clipped", "cube"], ["bright"]),
        # Boxes and classes as the table says, scores times brightness.
        helper.make_node("Sub", ["unit", "mask"], ["others"]),
        helper.make_node("Mul", ["bright", "mask"], ["scores"]),
        helper.make_node("Add", ["others", "scores"], ["factors"]),
        helper.make_node("Mul", ["table", "factors"], ["seen"]),
    ]
    graph = helper.make_graph(
        [*before, *nodes],
        "batches",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, tiny_models.NAMES)
    onnx.save(model, path)
    return path


# Slices to the end of the batch need a number for it.
LIMIT = helper.make_node(
    "Constant", [], ["limit"], value=numpy_helper.from_array(np.array([1000], np.int64), "")
)
GOOD = [helper.make_node("Identity", ["seen"], ["y"])]
# What is left of a loop over a batch that was unrolled for one picture.
FIRST_ALONE = [
    LIMIT,
    helper.make_node("Slice", ["seen", "zero", "one", "zero"], ["first"]),
    helper.make_node("Shape", ["bright"], ["shape"]),
    helper.make_node("ConstantOfShape", ["shape"], ["nought"]),
    helper.make_node("Slice", ["nought", "one", "limit", "zero"], ["rest"]),
    helper.make_node("Mul", ["table", "rest"], ["nothing"]),
    helper.make_node("Concat", ["first", "nothing"], ["y"], axis=0),
]
FIRST_FOR_ALL = [
    helper.make_node("Slice", ["seen", "zero", "one", "zero"], ["first"]),
    helper.make_node("Sub", ["seen", "seen"], ["nothing"]),
    helper.make_node("Add", ["first", "nothing"], ["y"]),
]
SHIFTED = [
    LIMIT,
    helper.make_node("Slice", ["seen", "one", "limit", "zero"], ["later"]),
    helper.make_node("Slice", ["seen", "zero", "one", "zero"], ["first"]),
    helper.make_node("Concat", ["later", "first"], ["y"], axis=0),
]


def reshaped(*dims: int) -> list[onnx.NodeProto]:
    """What a constant for the batch size leaves of a batch."""
    to = numpy_helper.from_array(np.array(dims, np.int64), "")
    return [
        helper.make_node("Constant", [], ["to"], value=to),
        helper.make_node("Reshape", ["seen", "to"], ["y"]),
    ]
