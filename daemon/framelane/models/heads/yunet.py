"""YuNet (Wu et al., 2023; ShiqiYu/libfacedetection.train): faces with five points, in four outputs per stride.

For the cells of strides 8, 16 and 32: class and objectness [N, A, 1], boxes [N, A, 4] and points [N, A, 10].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from framelane.models.heads.grid import cell_grid, cells
from framelane.models.heads.head import Candidates, Raw, corners
from framelane.models.heads.keypoints import Keypoints
from framelane.models.heads.kind import BOX, RANK, HeadKind
from framelane.models.input.spec import InputSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.kind import Output, Sample

    Array = NDArray[np.float32]

_STRIDES = (8, 16, 32)
_POINTS = Keypoints(5, 2)
# Class and objectness, whose order does not matter.
_SCORES = 2


class Level(NamedTuple):
    """Indices of the outputs for one stride."""

    scores: tuple[int, int]
    boxes: int
    points: int


@dataclass(frozen=True, slots=True)
class YuNetHead:
    """Boxes and points are offsets from cells, as in YOLOX; confidence is sqrt(class * objectness)."""

    name: ClassVar[str] = "yunet"
    layout: ClassVar[None] = None
    strides: ClassVar[tuple[int, ...]] = _STRIDES
    overlapping: ClassVar[bool] = True
    classes: ClassVar[int] = 1
    details: ClassVar[Keypoints] = _POINTS
    input: InputSpec
    levels: tuple[Level, ...]

    @property
    def output(self) -> int:
        """See Head: that with the boxes of the first stride."""
        return self.levels[0].boxes

    def raw(self, outputs: Sequence[Array]) -> Raw:
        """See Head; boxes are not in pixels."""
        scores = np.concatenate(
            [np.concatenate([outputs[number] for number in level.scores], axis=2) for level in self.levels],
            axis=1,
        )
        return Raw(None, scores, _confidence(scores))

    def decode(self, outputs: Sequence[Array], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        scores = [_joined(outputs, [level.scores[turn] for level in self.levels], image) for turn in (0, 1)]
        confidence = _confidence(np.concatenate(scores, axis=1))
        index = np.flatnonzero(confidence >= wanted.thresholds[0])
        column, row, stride = cell_grid(self.input.size_wh, self.strides)[index].T
        box = _joined(outputs, [level.boxes for level in self.levels], image)[index]
        size = np.exp(box[:, 2:]) * stride[:, None]
        xyxy = corners((box[:, 0] + column) * stride, (box[:, 1] + row) * stride, size[:, 0], size[:, 1])
        points = _joined(outputs, [level.points for level in self.levels], image)[index]
        cell = np.stack([column, row], axis=1)[:, None]
        extra = (points.reshape(-1, _POINTS.count, _POINTS.values) + cell) * stride[:, None, None]
        class_id = np.zeros(len(index), np.int32)
        return Candidates(xyxy, confidence[index], class_id, extra.reshape(len(index), _POINTS.columns))


def _confidence(scores: Array) -> Array:
    """Return the geometric mean [...] of class and objectness [..., 2]."""
    confidence: Array = np.sqrt(np.clip(scores, 0, 1).prod(axis=-1))
    return confidence


def _joined(outputs: Sequence[Array], numbers: Sequence[int], image: int) -> Array:
    """Return the rows [A, values] of an image, of all strides."""
    return np.concatenate([outputs[number][image] for number in numbers])


def _levels(sample: Sample) -> tuple[Level, ...] | None:
    """Return the outputs of each stride; None if one is missing or there are others."""
    levels = [_level(sample, stride) for stride in _STRIDES]
    found = tuple(level for level in levels if level is not None)
    complete = len(found) == len(_STRIDES) and len(sample.outputs) == len(_STRIDES) * (_SCORES + 2)
    return found if complete else None


def _level(sample: Sample, stride: int) -> Level | None:
    rows = cells(sample.size_wh, (stride,))
    outputs = [each for each in sample.outputs if len(each.shape) == RANK and each.shape[1] == rows]
    by_width = {
        width: [each.number for each in outputs if each.shape[2] == width]
        for width in (1, BOX, _POINTS.columns)
    }
    scores, boxes, points = by_width.values()
    if (len(scores), len(boxes), len(points)) != (_SCORES, 1, 1):
        return None
    return Level((scores[0], scores[1]), boxes[0], points[0])


def _fits(sample: Sample, output: Output) -> bool:
    levels = _levels(sample)
    return levels is not None and output.number == levels[0].boxes


def _make(sample: Sample, _output: Output) -> YuNetHead:
    levels = _levels(sample)
    assert levels is not None  # noqa: S101 - `fits` asked
    width, height = sample.size_wh
    spec = InputSpec(width, height, "bgr", 1.0, "topleft", pad=0, dtype=sample.dtype)
    return YuNetHead(sample.preparation.applied(spec), levels)


KIND = HeadKind(
    "yunet", "class and objectness [N, A, 1], boxes [N, A, 4] and points [N, A, 10] for strides 8, 16, 32",
    _fits, _fits, _make, joins=True,
)  # fmt: skip
