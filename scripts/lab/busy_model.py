"""Write objects into the output of a network with random weights, so that a benchmark has results to send.

    PYTHONPATH=scripts python -m lab.busy_model yolov8s_random.onnx yolov8s_busy.onnx [OBJECTS]

The layers and their cost stay the same; one addition to the output makes the same anchors score in every
image.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def add_objects(source: Path, target: Path, objects: int = OBJECTS) -> None:
    """Copy a model of Ultralytics' v8 layout, [N, 4 + classes, anchors], with objects added to its output.

    Raises:
        ModelError: its output has another layout.
    """
    model = onnx.load(str(source))
    output = model.graph.output[0]
    side_px = model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    shape = _output_shape(source)
    if len(shape) != 3 or shape[2] < shape[1] or not side_px:  # noqa: PLR2004 - N, rows, anchors
        raise ModelError(
            f"{source}: not a model of fixed size whose output is [N, 4 + classes, anchors]: {shape}"
        )
    maker = next(node for node in model.graph.node if output.name in node.output)
    maker.output[list(maker.output).index(output.name)] = "without_objects"
    dtype = helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    scores = _scores(shape[1], shape[2], side_px // _FINEST_STRIDE, objects).astype(dtype)
    model.graph.initializer.append(numpy_helper.from_array(scores, "objects"))
    model.graph.node.append(
        helper.make_node("Add", ["without_objects", "objects"], [output.name], "add_objects")
    )
    onnx.save(model, str(target))


def _output_shape(source: Path) -> tuple[int, ...]:
    """Return the shape of the first output for one image; exporters often leave it open."""
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    shape = [1, *(side if isinstance(side, int) else 1 for side in image.shape[1:])]
    dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16}.get(image.type, np.uint8)
    outputs = session.run(None, {image.name: np.zeros(shape, dtype)})
    return tuple(np.asarray(outputs[0]).shape)


def _scores(rows: int, anchors: int, grid: int, objects: int) -> NDArray[np.float32]:
    """Return the addition, [1, rows, anchors]: patches of anchors of the finest grid, far from each other."""
    added = np.zeros((1, rows, anchors), np.float32)
    columns = max(_COLUMNS, -(-objects // _MOST_LINES))
    lines = -(-objects // columns)
    for number in range(objects):
        line, column = divmod(number, columns)
        top, left = (line + 1) * grid // (lines + 1), (column + 1) * grid // (columns + 1)
        for step in range(_SIDE * _SIDE):
            anchor = (top + step // _SIDE) * grid + left + step % _SIDE
            label = _LABELS[number % len(_LABELS)] % (rows - _BOX_ROWS)
            added[0, _BOX_ROWS + label, anchor] = 0.9 - _SPREAD / objects * number - 0.01 * step
    return added


if __name__ == "__main__":
    add_objects(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else OBJECTS)
