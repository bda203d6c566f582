"""Tiny ONNX files made by code: outputs that are constant and encode known boxes, in every layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from framelane.models.heads.grid import cell_grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

SIZE_WH = (160, 128)
STRIDES = (8, 16, 32)
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}
NAMES = {"names": "{0: 'person', 1: 'bicycle', 2: 'car'}"}


@dataclass(frozen=True)
class Box:
    """An object in input pixels."""

    xyxy: tuple[float, float, float, float]
    class_id: int
    score: float

    @property
    def cxcywh(self) -> tuple[float, float, float, float]:
        x1, y1, x2, y2 = self.xyxy
        return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def yolox_raw(boxes: Sequence[Box], classes: int = 3) -> Array:
    grid = cell_grid(SIZE_WH, STRIDES)
    rows = np.zeros((1, len(grid), 5 + classes), np.float32)
    rows[..., :2] = 0.5
    rows[..., 2:4] = -0.5
    for number, box in enumerate(boxes):
        cx, cy, width, height = box.cxcywh
        # Two boxes may share a centre, so each takes another cell near it.
        near = np.abs((grid[:, :2] + 0.5) * grid[:, 2:] - (cx, cy)).sum(axis=1)
        cell = int(np.argsort(near, kind="stable")[number])
        column, row, stride = grid[cell]
        size = np.log([width / stride, height / stride])
        rows[0, cell, :4] = [cx / stride - column, cy / stride - row, *size]
        rows[0, cell, 4] = 0.95
        rows[0, cell, 5 + box.class_id] = box.score / 0.95
    return rows


def decoded_rows(boxes: Sequence[Box], classes: int = 3, anchors: int = 1, objectness: float = 0.95) -> Array:
    """YOLOX decoded with one anchor, YOLOv5 with three, YOLOv6 with an objectness of 1."""
    grid = np.tile(cell_grid(SIZE_WH, STRIDES), (anchors, 1))
    rows = np.zeros((1, len(grid), 5 + classes), np.float32)
    rows[0, :, :2] = (grid[:, :2] + 0.5) * grid[:, 2:]
    rows[0, :, 2:4] = grid[:, 2:]
    rows[0, :, 4] = 1 if objectness == 1 else 0.01
    for number, box in enumerate(boxes):
        rows[0, 7 * number, :4] = box.cxcywh
        rows[0, 7 * number, 4] = objectness
        rows[0, 7 * number, 5 + box.class_id] = box.score / objectness
    return rows


def yolov8(boxes: Sequence[Box], classes: int = 3) -> Array:
    columns = np.full((1, 4 + classes, len(cell_grid(SIZE_WH, STRIDES))), 0.01, np.float32)
    for number, box in enumerate(boxes):
        columns[0, :4, 5 * number] = box.cxcywh
        columns[0, 4 + box.class_id, 5 * number] = box.score
    return columns


def end2end(boxes: Sequence[Box], rows: int = 300) -> Array:
    table = np.zeros((1, rows, 6), np.float32)
    for number, box in enumerate(boxes):
        table[0, number] = [*box.xyxy, box.score, box.class_id]
    return table


def rtdetr(boxes: Sequence[Box], rows: int = 300) -> Array:
    """Every query has a box; those without an object lie in the middle, with hardly a score."""
    table = np.full((1, rows, 6), 0.5, np.float32)
    table[..., 4:] = [0.001, 0]
    for number, box in enumerate(boxes):
        table[0, number] = [*np.divide(box.cxcywh, SIZE_WH * 2), box.score, box.class_id]
    return table


def prototypes(masks: int = 4, stride: int = 4) -> Array:
    """Prototypes of which the first says yes everywhere, and the second on the left half of the picture."""
    width, height = SIZE_WH[0] // stride, SIZE_WH[1] // stride
    maps = np.full((1, masks, height, width), -1, np.float32)
    maps[:, 0] = 1
    maps[:, 1, :, : width // 2] = 1
    return maps


def more_columns(boxes: Sequence[Box], extra: Sequence[Sequence[float]], classes: int = 3) -> Array:
    """YOLOv8 with more values for each prediction; those of the boxes are given, in their order."""
    columns = yolov8(boxes, classes)
    more = np.zeros((1, len(extra[0]), columns.shape[2]), np.float32)
    for number, values in enumerate(extra):
        more[0, :, 5 * number] = values
    return np.concatenate([columns, more], axis=1)


def more_rows(boxes: Sequence[Box], extra: Sequence[Sequence[float]]) -> Array:
    """End-to-end rows with more values for each."""
    rows = end2end(boxes)
    more = np.zeros((1, rows.shape[1], len(extra[0])), np.float32)
    more[0, : len(extra)] = extra
    return np.concatenate([rows, more], axis=2)


def labelled(boxes: Sequence[Box]) -> Array:
    """Corners, score and class of every cell, before suppression."""
    grid = cell_grid(SIZE_WH, STRIDES)
    table = np.zeros((1, len(grid), 6), np.float32)
    table[0, :, :2] = grid[:, :2] * grid[:, 2:]
    table[0, :, 2:4] = table[0, :, :2] + grid[:, 2:]
    table[0, :, 4] = 0.001
    for number, box in enumerate(boxes):
        table[0, 5 * number] = [*box.xyxy, box.score, box.class_id]
    return table


def save(
    path: Path,
    outputs: Sequence[Array],
    *,
    batch: int | str = "batch",
    dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
    shape: Sequence[int | str] | None = None,
    unnamed_outputs: bool = False,
    names: Sequence[str] = (),
) -> Path:
    """A model that gives `outputs` [1, ...] for every picture of a batch."""
    kind = TYPES[dtype]
    real = TensorProto.FLOAT if dtype == "uint8" else kind
    images = helper.make_tensor_value_info("images", kind, shape or [batch, 3, SIZE_WH[1], SIZE_WH[0]])
    halves = np.float16 if dtype == "float16" else np.float32
    inits = [
        numpy_helper.from_array(np.array([0, -1], np.int64), "flat"),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(np.zeros(1, halves), "zero"),
    ]
    nodes = [
        helper.make_node("Reshape", ["images", "flat"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["real"], to=real),
        helper.make_node("ReduceMax", ["real"], ["most"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["most", "zero"], ["nought"]),
    ]
    results = []
    for number, output in enumerate(outputs):
        name = names[number] if names else f"output{number}"
        dims = [1] * (output.ndim - 1)
        inits += [
            numpy_helper.from_array(output.astype(halves), f"const{number}"),
            numpy_helper.from_array(np.array([-1, *dims], np.int64), f"dims{number}"),
        ]
        nodes += [
            helper.make_node("Reshape", ["nought", f"dims{number}"], [f"nought{number}"]),
            helper.make_node("Add", [f"const{number}", f"nought{number}"], [name]),
        ]
        dims_out = [None] * output.ndim if unnamed_outputs else [batch, *output.shape[1:]]
        results.append(helper.make_tensor_value_info(name, real, dims_out))
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", [images], results, inits),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, path)
    return path


def save_detr(
    path: Path, boxes: Sequence[Box], *, batch: int | str = "batch", side_type: str = "int64"
) -> Path:
    """A model as RT-DETR, D-FINE and DEIM export it: it scales boxes to the sizes that it is given."""
    rows = rtdetr(boxes)
    center, half = rows[..., :2], rows[..., 2:4] / 2
    constants = {
        "unit": np.concatenate([center - half, center + half], axis=2),
        "confidence": rows[..., 4],
        "class_id": rows[..., 5].astype(np.int64),
        "one": np.ones(1, np.int64),
        "zero": np.zeros(1, np.int64),
        "four": np.array([0, 1, 0, 1], np.int64),
    }
    side = TensorProto.INT64 if side_type == "int64" else TensorProto.INT32
    nodes = [
        helper.make_node("Cast", ["orig_target_sizes"], ["sides"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["sides", "four"], ["scale"], axis=1),
        helper.make_node("Unsqueeze", ["scale", "one"], ["scales"]),
        helper.make_node("Mul", ["unit", "scales"], ["boxes"]),
        # As many copies of the constants as there are images.
        helper.make_node("Shape", ["images"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["count"]),
        helper.make_node("Concat", ["count", "one"], ["copies"], axis=0),
        helper.make_node("Tile", ["confidence", "copies"], ["scores"]),
        helper.make_node("Tile", ["class_id", "copies"], ["labels"]),
    ]
    width, height = SIZE_WH
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "detr",
            [
                helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, height, width]),
                helper.make_tensor_value_info("orig_target_sizes", side, [batch, 2]),
            ],
            [
                helper.make_tensor_value_info("labels", TensorProto.INT64, [batch, 300]),
                helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [batch, 300, 4]),
                helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 300]),
            ],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, path)
    return path


def save_graph(
    path: Path,
    inputs: Sequence[tuple[str, int, Sequence[int | str]]],
    nodes: Sequence[onnx.NodeProto],
    *,
    opset: int = 17,
    ir_version: int = 9,
) -> Path:
    """A model of any inputs and nodes with one float output `y`, possibly a bad one."""
    values = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph(list(nodes), "graph", values, [y]),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
    )
    onnx.save(model, path)
    return path
