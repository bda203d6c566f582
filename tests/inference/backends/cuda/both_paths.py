"""One model output through the CPU's heads and suppression, and through the kernels: they must agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from framelane.inference.backends.cuda.head_kernels import head_spec
from framelane.inference.backends.cuda.plane_table import PICTURE
from framelane.inference.backends.cuda.postprocess import Postprocess, PostprocessAddresses
from framelane.inference.backends.cuda.results import detections
from framelane.models import postprocess
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.heads.end_to_end import EndToEndHead
from framelane.models.heads.grid import cell_grid
from framelane.models.heads.keypoints import Keypoints
from framelane.models.heads.rows import RowsHead
from framelane.models.heads.rtdetr import RtDetrHead
from framelane.models.heads.yolov8 import YoloV8Head
from framelane.models.heads.yolox import YoloxHead
from framelane.models.input.letterbox import Letterbox
from framelane.models.input.spec import InputSpec
from framelane.models.postprocess import Postprocessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tests.gpu.machines import Machine

    from framelane.core.frames import Detections
    from framelane.models.heads.head import Candidates, Head

    Array = NDArray[np.float32]

INPUT = InputSpec(160, 128, "rgb", 1 / 255, "center")
STRIDES = (8, 16, 32)
CELLS = len(cell_grid(INPUT.size_wh, STRIDES))
# Points of which each is told by x, y and a confidence; 33 numbers are more than a warp copies at once.
DETAILS = {"yolov8-pose": Keypoints(11, 3), "end2end-pose": Keypoints(11, 3)}
IN_PLACE = Letterbox.fit(INPUT.size_wh, INPUT.size_wh, "topleft")


def head_of(name: str, classes: int, input_spec: InputSpec = INPUT) -> Head:
    if name.startswith("end2end"):
        return EndToEndHead(input_spec, 0, details=DETAILS.get(name))
    if name == "rtdetr":
        return RtDetrHead(input_spec, 0)
    if name == "yolox":
        return YoloxHead(input_spec, classes, 0, STRIDES)
    if name.startswith("yolov8"):
        return YoloV8Head(input_spec, classes, 0, DETAILS.get(name))
    return RowsHead(name, input_spec, classes, 0)


def output_of(name: str, cxcywh: Array, scores: Array, objectness: Array | None = None) -> Array:
    """A layout's output [1, ...] that says these boxes [A, 4] and class scores [A, C]."""
    if name in DETAILS:
        plain = output_of(name.removesuffix("-pose"), cxcywh, scores)
        rows = plain.swapaxes(1, 2) if name.startswith("yolov8") else plain
        more = np.arange(len(cxcywh) * 33, dtype=np.float32).reshape(1, -1, 33) % 2000
        rows = np.concatenate([rows, more], axis=2)
        return rows.swapaxes(1, 2) if name.startswith("yolov8") else rows
    if name == "yolov8":
        return np.concatenate([cxcywh, scores], axis=1).T[None].astype(np.float32)
    if name == "rtdetr":
        best = scores.argmax(axis=1)[:, None].astype(np.float32)
        unit = cxcywh / np.array(INPUT.size_wh * 2, np.float32)
        return np.concatenate([unit, scores.max(axis=1, keepdims=True), best], axis=1)[None].astype(
            np.float32
        )
    if name == "end2end":
        corner = cxcywh[:, :2] - cxcywh[:, 2:] / 2
        best = scores.argmax(axis=1)[:, None].astype(np.float32)
        parts = [corner, corner + cxcywh[:, 2:], scores.max(axis=1, keepdims=True), best]
        return np.concatenate(parts, axis=1)[None].astype(np.float32)
    box = cxcywh
    if name == "yolox":
        grid = cell_grid(INPUT.size_wh, STRIDES)
        box = np.concatenate(
            [cxcywh[:, :2] / grid[:, 2:] - grid[:, :2], np.log(cxcywh[:, 2:] / grid[:, 2:])], axis=1
        )
    certain = np.ones((len(box), 1), np.float32) if objectness is None else objectness[:, None]
    return np.concatenate([box, certain, scores], axis=1)[None].astype(np.float32)


def crowd(
    rng: np.random.Generator, anchors: int, classes: int, levels: int | None = None
) -> tuple[Array, Array, Array]:
    """Boxes, scores and objectness around a few objects; `levels` makes confidences tie."""
    objects = rng.uniform([20, 20, 20, 20], [140, 110, 70, 70], (12, 4))
    cxcywh = objects[rng.integers(0, 12, anchors)] + rng.normal(0, 3, (anchors, 4))
    scores = rng.beta(0.4, 3, (anchors, classes))
    objectness = rng.beta(0.8, 0.8, anchors)
    if levels:
        scores, objectness = np.ceil(scores * levels) / levels, np.ceil(objectness * 2) / 2
    return cxcywh.astype(np.float32), scores.astype(np.float32), objectness.astype(np.float32)


@dataclass
class BothPaths:
    """A batch's output, and what is wanted of it.

    Attributes:
        output: the head's output in the dtype that the model has, [n, ...].
        filters: what is wanted of each picture.
        batch: pictures of the tensor; those past n are full of boxes that nobody wants.
        launches: how often the kernels run, as a graph does, over the same memory.
    """

    machine: Machine
    head: Head
    output: NDArray[Any]
    filters: Sequence[ClassFilter]
    letterboxes: Sequence[Letterbox] = ()
    iou: float = 0.45
    max_det: int = 300
    batch: int = 0
    launches: int = 1

    def __post_init__(self) -> None:
        self.letterboxes = self.letterboxes or [IN_PLACE] * len(self.output)
        self.batch = self.batch or len(self.output)

    def on_cpu(self) -> list[Detections]:
        outputs = [self.output.astype(np.float32)]
        with np.errstate(all="ignore"):
            return Postprocessor(self.head, self.iou, self.max_det)(outputs, self.letterboxes, self.filters)

    def kept_on_cpu(self) -> list[Candidates]:
        """What suppression keeps of each picture, in input pixels."""
        outputs, finish = [self.output.astype(np.float32)], Postprocessor(self.head, self.iou, self.max_det)
        with np.errstate(all="ignore"):
            found = [self.head.decode(outputs, image, wanted) for image, wanted in enumerate(self.filters)]
        return [finish._kept(postprocess._boxes(each)) for each in found]

    def on_gpu(self) -> tuple[list[Detections], Array | None]:
        """What the kernels find, and the details of it, if the head has any."""
        live, put = len(self.output), self.machine.put
        classes = len(self.filters[0].thresholds) if self.filters else self.head.classes or 1
        thresholds = np.full((self.batch, classes), 0, np.float32)
        table = np.zeros(self.batch, PICTURE)
        for row, (wanted, letterbox) in enumerate(zip(self.filters, self.letterboxes, strict=True)):
            thresholds[row] = wanted.thresholds
            table[row] = table_row(letterbox)
        output = np.ones((self.batch, *self.output.shape[1:]), self.output.dtype)
        output[:live] = self.output
        spec = head_spec(self.head, output.shape, output.dtype.name, classes)
        plan = Postprocess(spec, self.batch, self.iou, self.max_det)
        result = put(np.full(plan.result_shape, np.nan, np.float32))
        work = put(np.full(plan.workspace_bytes, 0xA5, np.uint8))
        details = put(np.full(plan.details_shape, np.nan, np.float32)) if plan.details_bytes else None
        at = PostprocessAddresses(
            put(output),
            put(thresholds),
            put(table),
            put(np.array([live], np.int32)),
            work,
            result,
            details or 0,
        )
        for _ in range(self.launches):
            plan.launch(self.machine.kernels, self.machine.stream, at)
        found = self.machine.get(result)
        assert (found[live:, 0] == 0).all()
        return detections(found, live), None if details is None else self.machine.get(details)

    def check(self) -> list[Detections]:
        """What both find, which is the same, in the same order."""
        expected, (actual, details) = self.on_cpu(), self.on_gpu()
        if details is not None:
            for kept, rows in zip(self.kept_on_cpu(), details, strict=False):
                assert kept.extra is not None
                whole = np.concatenate([kept.xyxy, kept.extra], axis=1)
                np.testing.assert_array_equal(rows[: len(whole)], whole)
                assert np.isnan(rows[len(whole) :]).all()
        assert len(expected) == len(actual)
        for one, other in zip(expected, actual, strict=True):
            np.testing.assert_array_equal(one.class_id, other.class_id)
            np.testing.assert_array_equal(one.confidence, other.confidence)
            if self.head.name == "yolox":  # NumPy's exponential and a GPU's differ in the last bit
                np.testing.assert_allclose(one.xyxy, other.xyxy, rtol=1e-6, atol=2e-3)
            else:
                np.testing.assert_array_equal(one.xyxy, other.xyxy)
            types = (other.xyxy.dtype, other.confidence.dtype, other.class_id.dtype)
            assert types == (np.float32, np.float32, np.int32)
        return actual


def table_row(letterbox: Letterbox) -> NDArray[Any]:
    row = np.zeros((), PICTURE)
    row["pad_xy"], row["factor"], row["origin"] = letterbox.pad_xy, letterbox.factor_xy, letterbox.origin_xy
    row["limit"] = np.add(letterbox.origin_xy, letterbox.crop_wh)
    return row


def at_least(confidence: float, classes: int) -> ClassFilter:
    return ClassFilter.everything(classes, confidence)
