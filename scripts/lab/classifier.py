"""A classifier with random weights, to measure what a second model of a given cost takes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("one", "two", "three", "four")
_OPSET, _IR = 17, 9


def write_classifier(path: Path, side: int = 128, channels: int = 32, layers: int = 4) -> Path:
    """Write an ONNX file in the layout of Ultralytics' classifiers, for any batch size.

    Args:
        path: the file.
        side: width and height of the images in pixels.
        channels: of each layer; each halves the image's sides.
        layers: how many.
    """
    random = np.random.default_rng(1)
    widths = [3, *(channels * 2**number for number in range(layers))]
    weights = {
        f"weights{number}": random.normal(0, (2 / (9 * before)) ** 0.5, (after, before, 3, 3))
        for number, (before, after) in enumerate(pairwise(widths))
    }
    weights["classes"] = random.normal(0, 1, (widths[-1], len(LABELS)))
    nodes, last = [], "images"
    for number in range(layers):
        inputs = [last, f"weights{number}"]
        nodes += [
            helper.make_node("Conv", inputs, [f"conv{number}"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"conv{number}"], [f"layer{number}"]),
        ]
        last = f"layer{number}"
    nodes += [
        helper.make_node("ReduceMean", [last], ["features"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["features", "classes"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, side, side])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    helper.set_model_props(model, {"names": str(dict(enumerate(LABELS))), "task": "classify"})
    onnx.save(model, str(path))
    return path
