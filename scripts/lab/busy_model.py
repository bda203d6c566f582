"""Write objects into the outputs of a network with random weights, so that a benchmark has results to send.

    PYTHONPATH=scripts python -m lab.busy_model yolov8s_random.onnx yolov8s_busy.onnx [OBJECTS]

Takes detectors and segmentation of Ultralytics' v8 layout, and RF-DETR. The layers and their cost stay the
same; one addition to an output makes the same predictions score in every image. Masks become ellipses that fill
their boxes.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from framelane.core.errors import ModelError
from framelane.models.heads.rfdetr import COCO_IDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

OBJECTS = 8
# An object is 4 x 4 neighboring anchors; suppression leaves one or two of them.
_SIDE = 4
_BOX_ROWS = 4
_FINEST_STRIDE = 8
# Most lines and fewest columns of objects; more lines would lie above and below a wide picture.
_MOST_LINES = 4
_COLUMNS = 4
# By how much the scores of the first and the last object differ, about.
_SPREAD = 0.24
# Person and car in COCO.
_LABELS = (0, 2)
# Of the first prototype for an object; far more than random weights give.
_WEIGHT = 20.0
# A query's logit rises from about -4.6 to a score of about 0.8.
_LOGIT = 6.0
_MAPS_RANK = 4


def add_objects(source: Path, target: Path, objects: int = OBJECTS) -> None:
    """Copy a model with objects added to its outputs.

    Raises:
        ModelError: its outputs have another layout.
    """
    model = onnx.load(str(source))
    side_px = _fix_size(model)
    outputs = _outputs(model)
    first = next(iter(outputs.values()))
    maps = next((values for values in outputs.values() if values.ndim == _MAPS_RANK), None)
    if "dets" in outputs and "labels" in outputs:
        _, queries, columns = outputs["labels"].shape
        additions = {"labels": _logits(queries, columns, objects)}
    elif first.ndim == 3 and first.shape[2] >= first.shape[1]:  # noqa: PLR2004 - N, rows, anchors
        weights = 0 if maps is None else maps.shape[1]
        grid = side_px // _FINEST_STRIDE
        added = _scores(first.shape[1], first.shape[2], grid, objects, weights)
        additions = {next(iter(outputs)): added}
        if maps is not None:
            boxes = first[0][:_BOX_ROWS, (added[0, _BOX_ROWS:] > 0).any(axis=0)].T
            name = next(name for name, values in outputs.items() if values is maps)
            additions[name] = _ellipses(maps.shape, side_px, boxes)
    else:
        raise ModelError(
            f"{source}: neither RF-DETR nor a model whose first output is [N, 4 + classes, anchors]: "
            f"{[values.shape for values in outputs.values()]}"
        )
    for number, (name, values) in enumerate(additions.items()):
        _add(model, name, values, str(number or ""))
    onnx.save(model, str(target))


def _add(model: onnx.ModelProto, name: str, values: Array, suffix: str) -> None:
    """Add values to an output."""
    output = next(each for each in model.graph.output if each.name == name)
    maker = next(node for node in model.graph.node if name in node.output)
    plain, added = f"without_objects{suffix}", f"objects{suffix}"
    maker.output[list(maker.output).index(name)] = plain
    # Other layers may read the output too.
    for node in model.graph.node:
        for index, read in enumerate(node.input):
            if read == name:
                node.input[index] = plain
    dtype = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    model.graph.initializer.append(numpy_helper.from_array(values.astype(dtype), added))
    model.graph.node.append(helper.make_node("Add", [plain, added], [name], f"add_objects{suffix}"))


def _fix_size(model: onnx.ModelProto) -> int:
    """Fix an open image size to the one that the exporter noted; return the width in pixels.

    Raises:
        ModelError: it noted none.
    """
    sides = model.graph.input[0].type.tensor_type.shape.dim[2:]
    if not all(side.dim_value for side in sides):
        noted = next((entry.value for entry in model.metadata_props if entry.key == "imgsz"), None)
        if noted is None:
            raise ModelError("the model leaves its size open; export it with a fixed one")
        for side, pixels in zip(sides, ast.literal_eval(noted), strict=True):
            side.dim_value = pixels
    return int(sides[-1].dim_value)


def _outputs(model: onnx.ModelProto) -> dict[str, Array]:
    """Return what the model gives for a black image."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    shape = [1, *(side if isinstance(side, int) else 1 for side in image.shape[1:])]
    dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16}.get(image.type, np.uint8)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {image.name: np.zeros(shape, dtype)}), strict=True))


def _scores(rows: int, anchors: int, grid: int, objects: int, weights: int) -> Array:
    """Return the addition, [1, rows, anchors]: patches of anchors of the finest grid, far from each other.

    The last `weights` rows are those of prototypes.
    """
    added = np.zeros((1, rows, anchors), np.float32)
    columns = max(_COLUMNS, -(-objects // _MOST_LINES))
    lines = -(-objects // columns)
    for number in range(objects):
        line, column = divmod(number, columns)
        top, left = (line + 1) * grid // (lines + 1), (column + 1) * grid // (columns + 1)
        for step in range(_SIDE * _SIDE):
            anchor = (top + step // _SIDE) * grid + left + step % _SIDE
            label = _LABELS[number % len(_LABELS)] % (rows - _BOX_ROWS - weights)
            added[0, _BOX_ROWS + label, anchor] = 0.9 - _SPREAD / objects * number - 0.01 * step
            if weights:
                added[0, rows - weights, anchor] = _WEIGHT
    return added


def _ellipses(shape: tuple[int, ...], side_px: int, boxes: Array) -> Array:
    """Return the addition to prototypes: the first is 1 in the ellipse of each box [K, 4] and -1 elsewhere."""
    added = np.zeros((1, *shape[1:]), np.float32)
    added[0, 0] = -1
    height, width = shape[2:]
    down, across = np.mgrid[:height, :width]
    for x, y, box_width, box_height in boxes * width / side_px:
        inside = ((across - x) / box_width) ** 2 + ((down - y) / box_height) ** 2 < 1 / 4
        added[0, 0][inside] = 1
    return added


def _logits(queries: int, columns: int, objects: int) -> Array:
    """Return the addition to RF-DETR's logits [1, queries, columns]."""
    places = COCO_IDS if columns > max(COCO_IDS) else tuple(range(columns))
    added = np.zeros((1, queries, columns), np.float32)
    for number in range(objects):
        label = places[_LABELS[number % len(_LABELS)] % len(places)]
        added[0, number * queries // objects, label] = _LOGIT
    return added


if __name__ == "__main__":
    add_objects(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else OBJECTS)
