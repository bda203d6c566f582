"""Final boxes, scores and classes in outputs of their own.

RT-DETR(v2), D-FINE and DEIM take the images' sizes too and give labels [N, K], boxes [N, K, 4] and scores [N, K].
Suppression in the graph, such as EfficientNMS, gives the same with the number of boxes [N, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.models.heads.head import Candidates, Raw
from framelane.models.heads.kind import BOX, RANK, HeadKind, rgb_input
from framelane.models.heads.six_columns import are_classes, are_scores, pick_labeled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.kind import Output, Sample
    from framelane.models.input.spec import InputSpec


@dataclass(frozen=True, slots=True)
class ListsHead:
    """One entry per object: corners in input pixels; the layout does not tell how many classes there are.

    With `count`, an output says how many entries of each image are objects.
    """

    classes: ClassVar[None] = None
    layout: ClassVar[None] = None
    details: ClassVar[None] = None
    strides: ClassVar[tuple[int, ...]] = ()
    overlapping: ClassVar[bool] = False
    name: str
    input: InputSpec
    output: int
    scores: int
    labels: int
    count: int | None = None

    def raw(self, outputs: Sequence[NDArray[np.float32]]) -> Raw:
        """See Head."""
        scores = outputs[self.scores]
        if self.count is not None:
            places = np.arange(scores.shape[1])
            scores = np.where(places < outputs[self.count].reshape(-1, 1), scores, np.float32(0))
        return Raw(outputs[self.output], scores[..., None], scores)

    def decode(self, outputs: Sequence[NDArray[np.float32]], image: int, wanted: ClassFilter) -> Candidates:
        """See Head; a class beyond the labels is ignored."""
        scores = outputs[self.scores][image]
        if self.count is not None:
            scores = scores[: max(int(outputs[self.count][image].reshape(-1)[0]), 0)]
        index, confidence, class_id = pick_labeled(scores, outputs[self.labels][image], wanted)
        return Candidates(outputs[self.output][image][index], confidence, class_id)


def _count(sample: Sample) -> Output | None:
    """Return the output with the number of objects [N, 1]."""
    return next((each for each in sample.outputs if each.shape in ((1, 1), (1,))), None)


def _lists(sample: Sample, boxes: Output) -> tuple[Output, Output] | None:
    """Return the outputs with scores and with labels that belong to boxes; None if there are none.

    Labels are whole numbers. If nothing is found, scores are too, and names tell them apart.
    """
    entries = boxes.shape[:2]
    lists = [each for each in sample.outputs if each.shape == entries]
    if len(boxes.shape) != RANK or boxes.shape[2] != BOX or len(lists) != 1 + 1:
        return None
    values = [np.concatenate([trial.ravel() for trial in each.trials]) for each in lists]
    first, second = (are_classes(each) for each in values)
    if first == second:
        first = "score" not in lists[0].name
    scores, labels = (1, 0) if first else (0, 1)
    fits = are_scores(values[scores]) and are_classes(values[labels])
    return (lists[scores], lists[labels]) if fits else None


def _fits_detr(sample: Sample, output: Output) -> bool:
    return _count(sample) is None and _lists(sample, output) is not None


def _fits_nms(sample: Sample, output: Output) -> bool:
    return _count(sample) is not None and _lists(sample, output) is not None


def _make(sample: Sample, output: Output) -> ListsHead:
    found, count = _lists(sample, output), _count(sample)
    assert found is not None  # noqa: S101 - `fits` asked
    scores, labels = found
    if count is None:
        return ListsHead("detr", rgb_input(sample, "stretch"), output.number, scores.number, labels.number)
    return ListsHead("nms", rgb_input(sample), output.number, scores.number, labels.number, count.number)


DETR_KIND = HeadKind(
    "detr", "labels [N, K], boxes [N, K, 4] in pixels and scores [N, K]",
    _fits_detr, _fits_detr, _make, joins=True,
)  # fmt: skip
NMS_KIND = HeadKind(
    "nms", "a count [N, 1], boxes [N, K, 4] in pixels, scores [N, K] and classes [N, K]",
    _fits_nms, _fits_nms, _make, joins=True,
)  # fmt: skip
