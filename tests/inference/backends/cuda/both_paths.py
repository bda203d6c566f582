"""A model's outputs through the CPU's heads and suppression, and through the kernels: they must agree."""

from __future__ import annotations

import math
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
from framelane.models.heads.head import ScoredRows
from framelane.models.heads.keypoints import Keypoints
from framelane.models.heads.masks import QueryMasks
from framelane.models.heads.rfdetr import RfDetrHead
from framelane.models.heads.rotation import Rotation
from framelane.models.heads.rows import RowsHead
from framelane.models.heads.rtdetr import RtDetrHead
from framelane.models.heads.yolonas import YoloNasHead
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
    from framelane.models.heads.head import Candidates, Details, Head

    Array = NDArray[np.float32]

INPUT = InputSpec(160, 128, "rgb", 1 / 255, "center")
STRIDES = (8, 16, 32)
CELLS = len(cell_grid(INPUT.size_wh, STRIDES))
# A row of scores for each box.
SCORED = ("rtdetr-scores", "rf-detr", "rf-detr-seg", "yolo-nas")
HEADS = (
    *("yolov8", "yolov5", "yolox", "yolox-decoded", "end2end", "rtdetr", "yolov8-pose", "end2end-pose"),
    *("yolov8-obb", "end2end-obb", *SCORED),
)
# Points of which each is told by x, y and a confidence; 33 numbers are more than a warp copies at once.
DETAILS: dict[str, Details] = {
    **dict.fromkeys(("yolov8-pose", "end2end-pose"), Keypoints(11, 3)),
    **dict.fromkeys(("yolov8-obb", "end2end-obb"), Rotation()),
}
# A query's mask has more pixels than a block has threads.
MASK_WH = (20, 16)
OBJECTNESS = ("yolov5", "yolox", "yolox-decoded")
IN_PLACE = Letterbox.fit(INPUT.size_wh, INPUT.size_wh, "topleft")


def head_of(name: str, classes: int, input_spec: InputSpec = INPUT) -> Head:
    if name.startswith("end2end"):
        return EndToEndHead(input_spec, 0, details=DETAILS.get(name))
    if name in SCORED:
        return scored_head_of(name, classes, input_spec)
    if name == "rtdetr":
        return RtDetrHead(input_spec, 0)
    if name == "yolox":
        return YoloxHead(input_spec, classes, 0, STRIDES)
    if name.startswith("yolov8"):
        return YoloV8Head(input_spec, classes, 0, DETAILS.get(name))
    return RowsHead(name, input_spec, classes, 0)


def scored_head_of(name: str, classes: int, input_spec: InputSpec) -> Head:
    if name == "yolo-nas":
        return YoloNasHead(input_spec, classes, 0, 1)
    if name == "rtdetr-scores":
        return RtDetrHead(input_spec, 0, classes)
    masks = QueryMasks(2, input_spec.size_wh) if name == "rf-detr-seg" else None
    return RfDetrHead(name, input_spec, 0, 1, tuple(range(classes)), masks)


def output_of(name: str, cxcywh: Array, scores: Array, objectness: Array | None = None) -> Array:
    """A layout's output [1, ...] that says these boxes [A, 4] and class scores [A, C].

    Outputs with a row per box are joined to one; `divided` divides them.
    """
    if name in DETAILS:
        plain = output_of(name.rsplit("-", 1)[0], cxcywh, scores)
        rows = plain.swapaxes(1, 2) if name.startswith("yolov8") else plain
        if name == "end2end-obb":
            rows[..., :4] = cxcywh
        rows = np.concatenate([rows, extra_of(name, len(cxcywh))], axis=2)
        return rows.swapaxes(1, 2) if name.startswith("yolov8") else rows
    if name in SCORED:
        return joined_rows(name, cxcywh, scores)
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


def extra_of(name: str, count: int) -> Array:
    """What follows the scores of each prediction: points, or an angle within two turns."""
    if name.endswith("-obb"):
        return np.random.default_rng(count).uniform(-6.3, 6.3, (1, count, 1)).astype(np.float32)
    return np.arange(count * 33, dtype=np.float32).reshape(1, -1, 33) % 2000


def joined_rows(name: str, cxcywh: Array, scores: Array) -> Array:
    """Boxes, scores and perhaps masks [1, A, ...] of heads that read them from several outputs."""
    unit = cxcywh / np.array(INPUT.size_wh * 2, np.float32)
    corner = cxcywh[:, :2] - cxcywh[:, 2:] / 2
    with np.errstate(divide="ignore"):
        logits = np.log(scores / (1 - scores))
    no_object = np.full((len(scores), 1), 99, np.float32)
    pixels = math.prod(MASK_WH)
    masks = np.random.default_rng(len(scores)).normal(0, 2, (len(scores), pixels))
    parts = {
        "yolo-nas": [corner, corner + cxcywh[:, 2:], scores],
        "rtdetr-scores": [unit, scores],
        "rf-detr": [unit, logits, no_object],
        "rf-detr-seg": [unit, logits, no_object, masks],
    }[name]
    return np.concatenate(parts, axis=1)[None].astype(np.float32)


def divided(head: Head, output: NDArray[Any]) -> list[NDArray[Any]]:
    """The outputs that a head reads, of one that joins them."""
    layout = head.layout
    if not isinstance(layout, ScoredRows) or layout.output == head.output:
        return [output]
    pixels = math.prod(MASK_WH) if head.details is not None else 0
    boxes, scores, masks = np.split(output, [4, output.shape[2] - pixels], axis=2)
    maps = [masks.reshape(*output.shape[:2], MASK_WH[1], MASK_WH[0])] if pixels else []
    return [boxes, scores, *maps]


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
        output: the head's outputs in the dtype that the model has, joined to one [n, ...].
        filters: what is wanted of each picture.
        batch: pictures of the tensor; those past n are full of boxes that nobody wants.
        launches: how often the kernels run, as a graph does, over the same memory.
        dtypes: element types of the head's outputs for the kernels, if they differ.
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
    dtypes: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.letterboxes = self.letterboxes or [IN_PLACE] * len(self.output)
        self.batch = self.batch or len(self.output)

    def on_cpu(self) -> list[Detections]:
        outputs = [each.astype(np.float32) for each in divided(self.head, self.output)]
        with np.errstate(all="ignore"):
            return Postprocessor(self.head, self.iou, self.max_det)(outputs, self.letterboxes, self.filters)

    def kept_on_cpu(self) -> list[Candidates]:
        """What suppression keeps of each picture, in input pixels."""
        outputs = [each.astype(np.float32) for each in divided(self.head, self.output)]
        finish = Postprocessor(self.head, self.iou, self.max_det)
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
        outputs = [self._typed(number, each) for number, each in enumerate(divided(self.head, output))]
        spec = head_spec(
            self.head, [each.shape for each in outputs], [each.dtype.name for each in outputs], classes
        )
        plan = Postprocess(spec, self.batch, self.iou, self.max_det)
        result = put(np.full(plan.result_shape, np.nan, np.float32))
        work = put(np.full(plan.workspace_bytes, 0xA5, np.uint8))
        details = put(np.full(plan.details_shape, np.nan, np.float32)) if plan.details_bytes else None
        tensors = [put(each) for each in outputs]
        layout = self.head.layout
        scored = layout if isinstance(layout, ScoredRows) else None
        at = PostprocessAddresses(
            tensors[0],
            put(thresholds),
            put(table),
            put(np.array([live], np.int32)),
            work,
            result,
            details or 0,
            scores=0 if scored is None else tensors[scored.output],
            columns=0 if scored is None else put(np.array(scored.columns, np.int32)),
            read=tensors[-1] if spec.entries else 0,
        )
        for _ in range(self.launches):
            plan.launch(self.machine.kernels, self.machine.stream, at)
        found = self.machine.get(result)
        assert (found[live:, 0] == 0).all()
        return detections(found, live), None if details is None else self.machine.get(details)

    def _typed(self, number: int, values: NDArray[Any]) -> NDArray[Any]:
        return values.astype(self.dtypes[number] if self.dtypes else values.dtype)

    def check(self) -> list[Detections]:
        """What both find, which is the same, in the same order."""
        expected, (actual, details) = self.on_cpu(), self.on_gpu()
        if details is not None:
            for image, (kept, rows) in enumerate(zip(self.kept_on_cpu(), details, strict=False)):
                self._check_details(image, kept, rows)
        assert len(expected) == len(actual)
        for one, other in zip(expected, actual, strict=True):
            np.testing.assert_array_equal(one.class_id, other.class_id)
            # NumPy's functions and a GPU's differ in the last bit: sigmoid, exponential, sine.
            layout = self.head.layout
            tolerance = 5e-7 * (isinstance(layout, ScoredRows) and layout.logits)
            np.testing.assert_allclose(one.confidence, other.confidence, rtol=tolerance, atol=0)
            self._check_boxes(one.xyxy, other.xyxy)
            types = (other.xyxy.dtype, other.confidence.dtype, other.class_id.dtype)
            assert types == (np.float32, np.float32, np.int32)
        return actual

    def _check_boxes(self, expected: Array, actual: Array) -> None:
        if self.head.name == "yolox" or _rotated(self.head):
            np.testing.assert_allclose(expected, actual, rtol=1e-6, atol=2e-3)
        else:
            np.testing.assert_array_equal(expected, actual)

    def _check_details(self, image: int, kept: Candidates, rows: Array) -> None:
        """Rows hold the kept boxes in input pixels and what the details read; no other row is written."""
        assert kept.extra is not None
        count = len(kept.extra)
        extra = kept.extra
        if self.head.details is not None and self.head.details.per_object:
            masks = divided(self.head, self.output)[2][image].astype(np.float32)
            extra = masks[kept.extra[:, 0].astype(int)].reshape(count, math.prod(MASK_WH))
        self._check_boxes(kept.xyxy, rows[:count, :4])
        np.testing.assert_array_equal(rows[:count, 4:], extra)
        assert np.isnan(rows[count:]).all()


def _rotated(head: Head) -> bool:
    return head.details is not None and head.details.rotated


def table_row(letterbox: Letterbox) -> NDArray[Any]:
    row = np.zeros((), PICTURE)
    row["pad_xy"], row["factor"], row["origin"] = letterbox.pad_xy, letterbox.factor_xy, letterbox.origin_xy
    row["limit"] = np.add(letterbox.origin_xy, letterbox.crop_wh)
    return row


def at_least(confidence: float, classes: int) -> ClassFilter:
    return ClassFilter.everything(classes, confidence)
