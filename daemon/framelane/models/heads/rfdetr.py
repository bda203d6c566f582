"""RF-DETR (Roboflow): dets [N, Q, 4], center and size as fractions, labels [N, Q, C] as logits, perhaps masks.

The image is stretched and normalized as for ImageNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.models.heads.head import Candidates, Raw, ScoredRows
from framelane.models.heads.kind import MAPS_RANK, HeadKind, normalized_input
from framelane.models.heads.masks import QueryMasks
from framelane.models.heads.rtdetr import pick_scored, unit_corners
from framelane.models.heads.six_columns import are_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.kind import Output, Sample
    from framelane.models.input.spec import InputSpec

_BOXES, _LOGITS, _MASKS = "dets", "labels", "masks"
# Columns for COCO's category ids, from 0 to 90; those of these 11 are not used.
_COCO_COLUMNS = 91
_UNUSED = frozenset({0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
COCO_IDS = tuple(each for each in range(_COCO_COLUMNS) if each not in _UNUSED)


@dataclass(frozen=True, slots=True)
class RfDetrHead:
    """One row per query, with the class whose logit is largest.

    `columns` are the logits of the classes, by class.
    """

    strides: ClassVar[tuple[int, ...]] = ()
    overlapping: ClassVar[bool] = False
    name: str
    input: InputSpec
    output: int
    logits: int
    columns: tuple[int, ...]
    details: QueryMasks | None = None

    @property
    def layout(self) -> ScoredRows:
        """See Head."""
        return ScoredRows(self.logits, self.columns, logits=True, unit=True)

    @property
    def classes(self) -> int:
        """See Head."""
        return len(self.columns)

    def raw(self, outputs: Sequence[NDArray[np.float32]]) -> Raw:
        """See Head; boxes are not in pixels."""
        scores = _sigmoid(outputs[self.logits][..., list(self.columns)])
        return Raw(None, scores, scores.max(axis=-1))

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        logits = outputs[self.logits][image][:, list(self.columns)]
        index, confidence, class_id = pick_scored(logits, wanted, _sigmoid)
        xyxy = unit_corners(outputs[self.output][image][index], self.input)
        queries = None if self.details is None else index[:, None].astype(np.float32)
        return Candidates(xyxy, confidence, class_id, queries)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _logits(sample: Sample, boxes: Output) -> Output | None:
    """Return the output with logits that belong to boxes in 0..1, by its name, or the only one that can."""
    fitting = sample.beside(boxes)
    likely = [each for each in fitting if each.name == _LOGITS] or fitting
    return likely[0] if len(likely) == 1 and are_scores(boxes.rows) else None


def _masks(sample: Sample, boxes: Output) -> Output | None:
    queries = boxes.shape[1]
    fitting = (each for each in sample.outputs if len(each.shape) == MAPS_RANK and each.shape[1] == queries)
    return next(fitting, None)


def _fits(sample: Sample, output: Output) -> bool:
    return _logits(sample, output) is not None and _masks(sample, output) is None


def _fits_masks(sample: Sample, output: Output) -> bool:
    return _logits(sample, output) is not None and _masks(sample, output) is not None


def _shows(sample: Sample, output: Output) -> bool:
    """Return whether the names are RF-DETR's: other families with such outputs need other images."""
    return output.name == _BOXES and any(each.name == _LOGITS for each in sample.outputs)


def _columns(sample: Sample, logits: Output) -> tuple[int, ...]:
    """Return the columns of the classes: all, or all but the last, which stands for no object."""
    count = logits.shape[2]
    if count == _COCO_COLUMNS and sample.names == len(COCO_IDS):
        return COCO_IDS
    return tuple(range(count if sample.names == count else count - 1))


def _make(sample: Sample, output: Output) -> RfDetrHead:
    logits, masks = _logits(sample, output), _masks(sample, output)
    assert logits is not None  # noqa: S101 - `fits` asked
    details = None if masks is None else QueryMasks(masks.number, sample.size_wh)
    name = "rf-detr" if masks is None else "rf-detr-seg"
    columns = _columns(sample, logits)
    return RfDetrHead(name, normalized_input(sample), output.number, logits.number, columns, details)


KIND = HeadKind(
    "rf-detr", "dets [N, Q, 4] in 0..1 and labels [N, Q, classes+1] as logits",
    _fits, _shows, _make, joins=True,
)  # fmt: skip
MASKS_KIND = HeadKind(
    "rf-detr-seg",
    "dets [N, Q, 4], labels [N, Q, classes+1] and masks [N, Q, h, w]",
    _fits_masks,
    _shows,
    _make,
    "segment",
    joins=True,
)
