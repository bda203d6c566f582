"""Tiny ONNX files for second models: they classify by color, take long, or fail on dark images; and YuNet's layout."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.models.tiny_models import SIZE_WH, STRIDES

from framelane.models.heads.grid import cell_grid, cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tests.models.tiny_models import Box

    Array = NDArray[np.float32]

COLORS = ("red", "green", "blue")
CLASSIFY = {"names": str(dict(enumerate(COLORS))), "task": "classify"}
DARK = 0.35
"""Images whose brightest value, from 0 to 1, is below this make `fussy` fail."""
_SIDE = 32
_SLOW_SIDE, _SLOW_CHANNELS, _SLOW_LAYERS = 224, 32, 24


def color_classifier(path: Path, *, logits: bool = False, gain: float = 20.0) -> Path:
    """A model that says which of red, green and blue is strongest in an image."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "gain"], ["scores" if logits else "raw"]),
    ]
    if not logits:
        nodes.append(helper.make_node("Softmax", ["raw"], ["scores"], axis=1))
    return _save(path, _SIDE, nodes, {"gain": np.array(gain, np.float32)})


def slow_classifier(path: Path) -> Path:
    """The same, but it computes for some tenths of a second first, on any machine of today."""
    random = np.random.default_rng(1)
    channels = [3, *[_SLOW_CHANNELS] * _SLOW_LAYERS]
    constants = {"gain": np.array(20, np.float32), "none": np.array(0, np.float32)}
    nodes, last = [], "images"
    for number, (before, after) in enumerate(pairwise(channels)):
        weights = random.normal(size=(after, before, 3, 3)).astype(np.float32)
        constants[f"weights{number}"] = weights / np.float32(np.sqrt(before * 9))
        nodes.append(
            helper.make_node("Conv", [last, f"weights{number}"], [f"layer{number}"], pads=[1, 1, 1, 1])
        )
        last = f"layer{number}"
    nodes += [
        helper.make_node("ReduceMean", [last], ["spent"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["spent", "none"], ["nought"]),
        helper.make_node("Unsqueeze", ["nought", "one"], ["noughts"]),
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "gain"], ["loud"]),
        helper.make_node("Add", ["loud", "noughts"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["scores"], axis=1),
    ]
    return _save(path, _SLOW_SIDE, nodes, {**constants, "one": np.array([1], np.int64)})


def fussy_classifier(path: Path) -> Path:
    """The same, but it fails on dark images."""
    constants = {
        "gain": np.array(20, np.float32),
        "dark": np.array(DARK, np.float32),
        "table": np.zeros(1, np.float32),
    }
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["most"], keepdims=0),
        helper.make_node("Less", ["most", "dark"], ["is_dark"]),
        helper.make_node("Cast", ["is_dark"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["nought"]),
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "gain"], ["loud"]),
        helper.make_node("Add", ["loud", "nought"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["scores"], axis=1),
    ]
    return _save(path, _SIDE, nodes, constants)


def _save(
    path: Path, side: int, nodes: Sequence[onnx.NodeProto], constants: Mapping[str, NDArray[np.generic]]
) -> Path:
    graph = helper.make_graph(
        list(nodes),
        "second",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(COLORS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, CLASSIFY)
    onnx.save(model, path)
    return path


def yunet(boxes: Sequence[Box], points: Sequence[Sequence[float]] = ()) -> dict[str, Array]:
    """YuNet's outputs by name: boxes, and five points x y of each, in pixels of the input."""
    grid = cell_grid(SIZE_WH, STRIDES)
    columns = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    rows = {name: np.full((1, len(grid), width), 0.01, np.float32) for name, width in columns.items()}
    for number, box in enumerate(boxes):
        cx, cy, width, height = box.cxcywh
        cell = 7 * number
        column, row, stride = grid[cell]
        rows["cls"][0, cell] = box.score**2
        rows["obj"][0, cell] = 1
        size = np.log([width / stride, height / stride])
        rows["bbox"][0, cell] = [cx / stride - column, cy / stride - row, *size]
        own = np.array(points[number] if points else [0] * 10, np.float32).reshape(5, 2)
        rows["kps"][0, cell] = (own / stride - (column, row)).ravel()
    ends = np.cumsum([cells(SIZE_WH, (stride,)) for stride in STRIDES])[:-1]
    parts = {name: np.split(values, ends, axis=1) for name, values in rows.items()}
    return {
        f"{name}_{stride}": parts[name][level] for name in columns for level, stride in enumerate(STRIDES)
    }
