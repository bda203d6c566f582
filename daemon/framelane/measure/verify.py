"""Compares an engine with ONNX Runtime on real images: raw outputs, and agreement of detections."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from framelane.core.errors import ModelError
from framelane.media.image_files import SUFFIXES_TEXT, picture_files, read_picture
from framelane.models.input.preprocess import Preprocessor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import av
    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.inference.model import Model

LOOSE, TIGHT, SAME = 0.5, 0.9, 0.99
SAME_SCORE = 0.005
# Share of detections that must have a match at IoU .5; docs/engines.md has the measurements.
LEAST_AGREEMENT = {"fp32": 0.98, "fp16": 0.95, "int8": 0.80}


@dataclass(frozen=True, slots=True)
class OutputError:
    """How far one raw output is from the reference's, over all images.

    Attributes:
        largest: largest difference.
        mean: mean difference.
        magnitude: mean magnitude of the reference's values, for comparison.
    """

    name: str
    largest: float
    mean: float
    magnitude: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two models detect the same.

    Attributes:
        pictures: how many images were compared.
        reference: detections of ONNX Runtime.
        other: detections of the engine.
        loose: share of all detections with a match of the same class at IoU .5.
        tight: the same at IoU .9.
        same: the same at IoU .99 and with confidences that differ by .005 at most.
        score_mean: mean difference of confidence between matches at IoU .5.
        score_largest: largest such difference.
    """

    pictures: int
    reference: int
    other: int
    loose: float
    tight: float
    same: float
    score_mean: float
    score_largest: float


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a comparison."""

    outputs: tuple[OutputError, ...]
    agreement: Agreement
    least_agreement: float

    @property
    def passed(self) -> bool:
        """Whether enough detections agree."""
        return self.agreement.loose >= self.least_agreement

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return asdict(self) | {"passed": self.passed}


def pictures_in(folder: Path, most: int) -> list[av.VideoFrame]:
    """Return at most `most` images of a folder, evenly spread over their names, decoded.

    Raises:
        ModelError: there are none.
    """
    paths = picture_files(folder) if folder.is_dir() else []
    chosen = [paths[round(index)] for index in np.linspace(0, len(paths) - 1, min(most, len(paths)))]
    read = [picture for path in chosen if (picture := read_picture(path)) is not None]
    if not read:
        raise ModelError(f"{folder} holds no images ({SUFFIXES_TEXT})")
    return read


def verify(
    reference: Model, other: Model, pictures: Sequence[av.VideoFrame], batch: int, least_agreement: float
) -> Verification:
    """Compare two models on the same images.

    Raw outputs are compared for the same tensors, detections through each model's own whole path.
    """
    errors = _output_errors(reference, other, pictures, batch)
    agreement = agree(detect_all(reference, pictures, batch), detect_all(other, pictures, batch))
    return Verification(errors, agreement, least_agreement)


def agree(reference: Sequence[Detections], other: Sequence[Detections]) -> Agreement:
    """Match the detections of each image, best first, within a class."""
    counts = sum(len(each.confidence) for each in reference), sum(len(each.confidence) for each in other)
    loose, tight, same, gaps = 0, 0, 0, []
    for ours, theirs in zip(reference, other, strict=True):
        partners = _partners(ours, theirs, LOOSE)
        loose += len(partners)
        tight += len(_partners(ours, theirs, TIGHT))
        same += sum(gap <= SAME_SCORE for gap in _gaps(ours, theirs, _partners(ours, theirs, SAME)))
        gaps += _gaps(ours, theirs, partners)
    total = sum(counts)
    return Agreement(
        pictures=len(reference),
        reference=counts[0],
        other=counts[1],
        loose=2 * loose / total if total else 1.0,
        tight=2 * tight / total if total else 1.0,
        same=2 * same / total if total else 1.0,
        score_mean=float(np.mean(gaps)) if gaps else 0.0,
        score_largest=max(gaps, default=0.0),
    )


def _gaps(ours: Detections, theirs: Detections, partners: Sequence[tuple[int, int]]) -> list[float]:
    """Return how much the confidences of matches differ."""
    return [abs(float(ours.confidence[i]) - float(theirs.confidence[j])) for i, j in partners]


def _partners(ours: Detections, theirs: Detections, least_iou: float) -> list[tuple[int, int]]:
    free = set(range(len(theirs.confidence)))
    found = []
    for index in np.argsort(-ours.confidence, kind="stable"):
        overlaps = _iou(ours.xyxy[index], theirs.xyxy)
        able = [
            each
            for each in free
            if theirs.class_id[each] == ours.class_id[index] and overlaps[each] >= least_iou
        ]
        if able:
            best = max(able, key=lambda each: float(overlaps[each]))
            free.remove(best)
            found.append((int(index), best))
    return found


def _iou(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    top_left = np.maximum(box[:2], boxes[:, :2])
    bottom_right = np.minimum(box[2:], boxes[:, 2:])
    inside = np.prod(np.clip(bottom_right - top_left, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    overlaps: NDArray[np.float32] = inside / np.maximum(areas - inside, np.float32(1e-9))
    return overlaps


def _output_errors(
    reference: Model, other: Model, pictures: Sequence[av.VideoFrame], batch: int
) -> tuple[OutputError, ...]:
    preprocess = Preprocessor(reference.input, batch)
    # Largest, sum of differences, sum of magnitudes, count.
    sums: list[NDArray[np.float64]] = []
    for part in _parts(pictures, batch):
        tensor = preprocess(part)[0]
        answers = other.infer(tensor.astype(other.input.dtype, copy=False))
        for index, (ours, theirs) in enumerate(zip(reference.infer(tensor), answers, strict=True)):
            gap = np.abs(ours.astype(np.float64) - theirs)
            if index == len(sums):
                sums.append(np.zeros(4))
            sums[index][0] = max(sums[index][0], float(gap.max(initial=0.0)))
            sums[index][1:] += gap.sum(), np.abs(ours).sum(dtype=np.float64), gap.size
    return tuple(
        OutputError(str(index), float(largest), float(gaps / count), float(magnitude / count))
        for index, (largest, gaps, magnitude, count) in enumerate(sums)
    )


def detect_all(model: Model, pictures: Sequence[av.VideoFrame], batch: int) -> list[Detections]:
    """Return a model's detections in each image, by its whole path."""
    everything = model.filter()
    found: list[Detections] = []
    with closing(model.runner(batch)) as runner:
        runner.open()
        for part in _parts(pictures, batch):
            found += runner.detect(part, [everything] * len(part), [None] * len(part)).detections
    return found


def _parts(pictures: Sequence[av.VideoFrame], batch: int) -> Iterator[list[av.VideoFrame]]:
    for start in range(0, len(pictures), batch):
        yield list(pictures[start : start + batch])
