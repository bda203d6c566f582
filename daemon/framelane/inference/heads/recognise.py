"""Which head a model has, from what its file says and what it makes of one grey picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.core.errors import ModelError
from framelane.inference.heads.end2end import CLASS, COLUMNS, SCORE, EndToEndHead
from framelane.inference.heads.grid import strides_of
from framelane.inference.heads.rows import OBJECTNESS, SCORES
from framelane.inference.heads.yolov5 import YoloV5Head
from framelane.inference.heads.yolov8 import BOX, YoloV8Head
from framelane.inference.heads.yolox import YoloxDecodedHead, YoloxHead
from framelane.inference.inputs import InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from framelane.inference.heads.head import Head
    from framelane.inference.inputs import PixelType
    from framelane.inference.letterbox import SizeWH

    Array = NDArray[np.float32]

RANK = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model made of one grey picture.

    Attributes:
        model: what to call the model in messages: its file.
        size_wh: the picture's size.
        dtype: the picture's element type.
        metadata: the file's properties.
        names: the outputs' names.
        outputs: the outputs, each [1, ...].
    """

    model: str
    size_wh: SizeWH
    dtype: PixelType
    metadata: Mapping[str, str]
    names: Sequence[str]
    outputs: Sequence[Array]


@dataclass(frozen=True, slots=True)
class HeadKind:
    """How to tell a head, and how to make one.

    Attributes:
        layout: its outputs, in words for messages.
        fits: whether an output's shape can be this layout's; enough where the configuration names the head.
        shows: whether an output that fits is this layout's rather than another's.
        make: the head that reads output number n.
    """

    layout: str
    fits: Callable[[Sample, Array], bool]
    shows: Callable[[Sample, Array], bool]
    make: Callable[[Sample, int], Head]


def recognise(sample: Sample, setting: str = "auto") -> Head:
    """The head of a model, found or as the configuration says.

    Raises:
        ModelError: no head fits, or not the one that the configuration names.
    """
    task = sample.metadata.get("task", "detect")
    if task != "detect":
        raise ModelError(f"{sample.model} is a model for the task `{task}`; Framelane runs the task `detect`")
    kinds = HEADS if setting == "auto" else {setting: HEADS[setting]}
    for kind in kinds.values():
        for number, output in enumerate(sample.outputs):
            if kind.fits(sample, output) and (setting != "auto" or kind.shows(sample, output)):
                return kind.make(sample, number)
    raise ModelError(_refusal(sample, setting, kinds))


def _refusal(sample: Sample, setting: str, kinds: Mapping[str, HeadKind]) -> str:
    shapes = ", ".join(
        f"{name} {list(output.shape)}" for name, output in zip(sample.names, sample.outputs, strict=True)
    )
    known = "; ".join(f"{name} {kind.layout}" for name, kind in kinds.items())
    width, height = sample.size_wh
    asked = "no head that Framelane knows" if setting == "auto" else f"not `head: {setting}`"
    remedy = "" if setting == "auto" else "; set `head: auto` or another one"
    return (
        f"{sample.model} gives {shapes} for a {width}x{height} picture, which fits {asked}: {known}{remedy}"
    )


def _input(sample: Sample, *, yolox: bool) -> InputSpec:
    width, height = sample.size_wh
    if yolox:
        return InputSpec(width, height, "bgr", 1.0, "topleft", dtype=sample.dtype)
    # A model that takes bytes normalises them itself.
    scale = 1.0 if sample.dtype == "uint8" else 1 / 255
    return InputSpec(width, height, "rgb", scale, "center", dtype=sample.dtype)


def _is_rows(_sample: Sample, output: Array) -> bool:
    return output.ndim == RANK and SCORES < output.shape[2] < output.shape[1]


def _is_grid_rows(sample: Sample, output: Array) -> bool:
    wide_enough = output.ndim == RANK and output.shape[2] > SCORES
    return wide_enough and strides_of(sample.size_wh, output.shape[1]) is not None


def _is_columns(_sample: Sample, output: Array) -> bool:
    return output.ndim == RANK and BOX < output.shape[1] <= output.shape[2]


def _is_short_rows(_sample: Sample, output: Array) -> bool:
    return output.ndim == RANK and output.shape[2] == COLUMNS


def _shows_end2end(sample: Sample, output: Array) -> bool:
    """Rows of six that are no one-class YOLOX or YOLOv5, with scores to 1 and whole class numbers."""
    if sample.metadata.get("end2end", "").lower() == "true":
        return True
    rows = output.shape[1]
    score, class_id = output[..., SCORE], output[..., CLASS]
    on_grid = strides_of(sample.size_wh, rows) or strides_of(sample.size_wh, rows, anchors=3)
    in_range = bool(((score >= 0) & (score <= 1)).all())
    return not on_grid and in_range and bool((class_id == np.floor(class_id)).all())


def _shows_yolov5(sample: Sample, output: Array) -> bool:
    """Three anchors a cell; or one whose objectness is always 1, which is YOLOv6."""
    rows = output.shape[1]
    if strides_of(sample.size_wh, rows, anchors=3) is not None:
        return True
    return strides_of(sample.size_wh, rows) is not None and bool((output[..., OBJECTNESS] == 1).all())


def _shows_raw(sample: Sample, output: Array) -> bool:
    """Offsets from cells stay within a few cells, and logarithms of sizes go below 0; pixels do neither."""
    spread = float(np.ptp(output[..., 0]))
    return float(output[..., 2:BOX].min()) < 0 or spread < sample.size_wh[0] / 2


def _make_yolox(sample: Sample, number: int) -> Head:
    rows, values = sample.outputs[number].shape[1:]
    strides = strides_of(sample.size_wh, rows)
    assert strides is not None  # noqa: S101 - `fits` asked
    return YoloxHead(_input(sample, yolox=True), values - SCORES, number, strides)


def _make_yolox_decoded(sample: Sample, number: int) -> Head:
    return YoloxDecodedHead(_input(sample, yolox=True), sample.outputs[number].shape[2] - SCORES, number)


def _make_yolov5(sample: Sample, number: int) -> Head:
    return YoloV5Head(_input(sample, yolox=False), sample.outputs[number].shape[2] - SCORES, number)


def _make_yolov8(sample: Sample, number: int) -> Head:
    return YoloV8Head(_input(sample, yolox=False), sample.outputs[number].shape[1] - BOX, number)


def _make_end2end(sample: Sample, number: int) -> Head:
    return EndToEndHead(_input(sample, yolox=False), number)


# Asked in this order.
HEADS: dict[str, HeadKind] = {
    "end2end": HeadKind("[N, K, 6]", _is_short_rows, _shows_end2end, _make_end2end),
    "yolov8": HeadKind("[N, 4+classes, anchors]", _is_columns, _is_columns, _make_yolov8),
    "yolov5": HeadKind("[N, 3 a cell, 5+classes]", _is_rows, _shows_yolov5, _make_yolov5),
    "yolox": HeadKind("[N, 1 a cell, 5+classes]", _is_grid_rows, _shows_raw, _make_yolox),
    "yolox-decoded": HeadKind(
        "[N, 1 a cell, 5+classes] in pixels",
        _is_rows,
        _is_grid_rows,
        _make_yolox_decoded,
    ),
}
