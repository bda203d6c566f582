"""Crowds whose boxes are known: clips of numbered frames, and a model that finds what belongs to each number.

A frame shows its number as 16 black or white squares. The model reads it and looks the boxes up in a table, so a
benchmark has as many moving objects as it wants, and neither a network nor its errors cost time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np

from lab.clip import Coding, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    # Rows x1 y1 x2 y2 score class of each frame, corners from 0 to 1; a score of 0 is no object [F, K, 6].
    Boxes = NDArray[np.float32]

LABELS = ("person", "car")
RULES: dict[str, object] = {
    "lines": {
        "street": {"points": [[0.1, 0.6], [0.9, 0.6]]},
        "lane": {"points": [[0.5, 0.1], [0.5, 0.9]]},
    },
    "zones": {
        "yard": {"polygon": [[0.2, 0.5], [0.8, 0.5], [0.9, 1.0], [0.1, 1.0]], "loiter_s": 3},
        "door": {"polygon": [[0.6, 0.1], [0.9, 0.1], [0.9, 0.4], [0.6, 0.4]]},
    },
}
"""Lines and zones that a crowd crosses all the time."""
_BITS = 16
_GRID = 4
_CLIP_PX = 320
_MODEL_PX = 64
_OPSET = 17
_IR = 9
_SIZES = ((0.03, 0.09), (0.1, 0.07))
"""Width and height of each label."""
_SCORE = 0.9
_JITTER = 0.002
_MISSED = 0.03
_STAYS = (40, 160)
"""Frames for which somebody crosses the picture, at least and at most."""


def walking(objects: int, frames: int, seed: int = 1) -> Boxes:
    """Return people and cars that cross the picture, `objects` at a time; some boxes jitter and some are missing."""
    dice = np.random.default_rng(seed)
    boxes = np.zeros((frames, objects, 6), np.float32)
    for place in range(objects):
        began = -int(dice.integers(_STAYS[1]))
        while began < frames:
            stays = int(dice.integers(*_STAYS))
            _walk(boxes[max(began, 0) : began + stays, place], max(-began, 0) / stays, stays, dice)
            began += stays
    boxes[..., :4] += dice.normal(0, _JITTER, boxes[..., :4].shape)
    boxes[dice.random(boxes.shape[:2]) < _MISSED, 4] = 0
    return boxes


def scattered(objects: int, frames: int, seed: int = 2) -> Boxes:
    """Return as many boxes per frame, each anywhere in the picture: no box continues one of the frame before."""
    dice = np.random.default_rng(seed)
    boxes = np.zeros((frames, objects, 6), np.float32)
    center, size = dice.random((frames, objects, 2)), dice.uniform(0.02, 0.1, (frames, objects, 2))
    boxes[..., :2], boxes[..., 2:4] = center - size / 2, center + size / 2
    boxes[..., 4], boxes[..., 5] = _SCORE, dice.integers(len(LABELS), size=(frames, objects))
    return boxes


def numbered_clip(path: Path, first: int, frames: int, fps: int) -> Path:
    """Write a clip whose frames show the numbers from `first` on; return its path."""
    coding = Coding((_CLIP_PX, _CLIP_PX), fps, gop=2 * fps, bit_rate=200_000, scene_cuts=False)
    return encode(_numbered(first, frames), path, frames, coding)


def write_crowd_model(path: Path, *parts: Boxes) -> Path:
    """Write an ONNX file in YOLOv10's layout that finds the boxes of each number, those of the parts one after another.

    The box of number n of the second part is found in the frame that shows n plus the length of the first.
    """
    import onnx  # noqa: PLC0415 - 15 MB that a measured process must not carry
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    most = max(part.shape[1] for part in parts)
    table = np.concatenate([np.pad(part, ((0, 0), (0, most - part.shape[1]), (0, 0))) for part in parts])
    table[..., :4] *= _MODEL_PX
    square = _MODEL_PX // _GRID
    constants: dict[str, NDArray[np.generic]] = {
        "half": np.array(0.5, np.float32),
        "worth": (2 ** np.arange(_BITS, dtype=np.float32)).reshape(_BITS, 1),
        "flat": np.array([-1, _BITS], np.int64),
        "one": np.array([-1], np.int64),
        "last": np.array(len(table) - 1, np.float32),
        "table": table,
    }
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["gray"], axes=[1]),
        helper.make_node(
            "AveragePool", ["gray"], ["squares"], kernel_shape=[square] * 2, strides=[square] * 2
        ),
        helper.make_node("Greater", ["squares", "half"], ["white"]),
        helper.make_node("Cast", ["white"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["ones", "flat"], ["bits"]),
        helper.make_node("MatMul", ["bits", "worth"], ["read"]),
        helper.make_node("Min", ["read", "last"], ["known"]),
        helper.make_node("Reshape", ["known", "one"], ["numbers"]),
        helper.make_node("Cast", ["numbers"], ["number"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "number"], ["output0"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "crowd",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, _MODEL_PX, _MODEL_PX])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["N", most, 6])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    about = {"names": str(dict(enumerate(LABELS))), "imgsz": str([_MODEL_PX] * 2), "stride": "32"}
    helper.set_model_props(model, {**about, "task": "detect", "end2end": "True"})
    onnx.save(model, str(path))
    return path


def _walk(rows: Boxes, share: float, stays: int, dice: np.random.Generator) -> None:
    """Fill the rows of somebody who crosses the picture, from this share of the way on."""
    label = int(dice.integers(len(LABELS)))
    half = np.array(_SIZES[label]) / 2
    start, end = ends = dice.random((2, 2))
    ends[:, dice.integers(2)] = dice.permutation(2)
    center = start + (end - start) * (share + np.arange(len(rows)) / stays)[:, None]
    rows[:, :2], rows[:, 2:4] = center - half, center + half
    rows[:, 4:] = _SCORE, label


def _numbered(first: int, frames: int) -> Iterator[av.VideoFrame]:
    side = _CLIP_PX // _GRID
    for number in range(first, first + frames):
        bits = np.array([number >> bit & 1 for bit in range(_BITS)], np.uint8).reshape(_GRID, _GRID)
        image = np.kron(bits, np.full((side, side), 255, np.uint8))
        yield av.VideoFrame.from_ndarray(np.repeat(image[:, :, None], 3, axis=2), format="bgr24")
