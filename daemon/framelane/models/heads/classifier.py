"""Classifiers: scores of the whole image, [N, C] or [N, C, 1, 1], in a file that gives nothing else.

The best class becomes one detection, the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from framelane.models.heads.head import Candidates, Raw
from framelane.models.heads.kind import HeadKind, normalized_input, rgb_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.models.heads.class_filter import ClassFilter
    from framelane.models.heads.kind import Output, Sample
    from framelane.models.input.spec import InputSpec

    Array = NDArray[np.float32]

TASK = "classify"
_LEAST_CLASSES = 2
_LISTS = (6, 7)
# Images and classes; sides of 1 may follow.
_RANK = 2
# INT8 and half precision round a score slightly beyond 0 and 1.
_SLACK = 0.05


@dataclass(frozen=True, slots=True)
class ClassifierHead:
    """Scores of every class; with `logits`, before their softmax."""

    name: ClassVar[str] = "classifier"
    layout: ClassVar[None] = None
    details: ClassVar[None] = None
    strides: ClassVar[tuple[int, ...]] = ()
    overlapping: ClassVar[bool] = False
    input: InputSpec
    classes: int
    output: int
    logits: bool

    def raw(self, outputs: Sequence[Array]) -> Raw:
        """See Head."""
        scores = self._scores(outputs[self.output])
        return Raw(None, scores[:, None], scores.max(axis=1, keepdims=True))

    def decode(self, outputs: Sequence[Array], image: int, wanted: ClassFilter) -> Candidates:
        """See Head."""
        scores = self._scores(outputs[self.output][image : image + 1])
        class_id = scores.argmax(axis=1).astype(np.int32)
        confidence = scores[0, class_id]
        passed = confidence >= wanted.thresholds[class_id]
        whole = np.array([[0, 0, self.input.width, self.input.height]], np.float32)
        return Candidates(whole, confidence, class_id)[passed]

    def _scores(self, values: Array) -> Array:
        """Return scores [n, C] from 0 to 1."""
        flat = values.reshape(len(values), -1)
        if not self.logits:
            return flat
        powers = np.exp(flat - flat.max(axis=1, keepdims=True))
        scores: Array = powers / powers.sum(axis=1, keepdims=True)
        return scores


def _is_vector(output: Output) -> bool:
    """Return whether an output is one number per class."""
    shape = output.shape
    sides = shape[_RANK:]
    return len(shape) >= _RANK and shape[1] >= _LEAST_CLASSES and all(side == 1 for side in sides)


def _fits(sample: Sample, _output: Output) -> bool:
    """Return whether there are only scores; beside boxes, such an output belongs to these."""
    return all(_is_vector(each) for each in sample.outputs)


def _shows(sample: Sample, output: Output) -> bool:
    """Return whether scores are meant: six or seven columns may be a list of all images' detections."""
    classes = output.shape[1]
    return sample.task == TASK or sample.names == classes or classes not in _LISTS


def _make(sample: Sample, output: Output) -> ClassifierHead:
    values = np.concatenate([trial.ravel() for trial in output.trials])
    values = values[np.isfinite(values)]
    logits = bool(values.min(initial=0) < -_SLACK or values.max(initial=0) > 1 + _SLACK)
    # Ultralytics trains on plain RGB. Nearly all others begin with a network that was trained on ImageNet.
    plain = sample.task == TASK
    spec = rgb_input(sample, "stretch") if plain else normalized_input(sample)
    return ClassifierHead(spec, output.shape[1], output.number, logits)


KIND = HeadKind("classifier", "[N, classes] and nothing else", _fits, _shows, _make, TASK)
