"""HOTA: how well tracks agree with true tracks, in detection and in association (arXiv 2009.07736)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from framelane.measure.assignment import best_assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ALPHAS = np.arange(0.05, 0.99, 0.05)
_EPSILON = np.finfo(np.float64).eps


class TrackFrame(NamedTuple):
    """The objects of one frame: ids [N], each once, and corners in pixels [N, 4]."""

    ids: NDArray[np.int64]
    xyxy: NDArray[np.float32] | Floats


@dataclass(frozen=True, slots=True)
class Hota:
    """Means over the 19 overlaps from .05 to .95, from 0 to 1.

    Attributes:
        hota: the geometric mean of the other two at each overlap.
        detection: share of found and true boxes that agree.
        association: how far each agreeing pair of tracks covers both.
    """

    hota: float
    detection: float
    association: float


def hota(truth: Sequence[TrackFrame], tracks: Sequence[TrackFrame]) -> Hota:
    """Compare tracks with true tracks, frame by frame, as TrackEval does.

    Args:
        truth: true objects per frame; at least one frame.
        tracks: tracked objects of the same frames.
    """
    real, real_counts = _numbered(truth)
    found, found_counts = _numbered(tracks)
    overlaps = [_overlaps(one.xyxy, other.xyxy) for one, other in zip(truth, tracks, strict=True)]
    together = np.zeros((len(real_counts), len(found_counts)))
    for overlap, rows, columns in zip(overlaps, real, found, strict=True):
        both = overlap.sum(axis=1, keepdims=True) + overlap.sum(axis=0, keepdims=True) - overlap
        together[np.ix_(rows, columns)] += np.where(
            both > _EPSILON, overlap / np.maximum(both, _EPSILON), 0.0
        )
    alignment = together / (real_counts[:, None] + found_counts - together) if together.size else together
    pairs = []
    for overlap, rows, columns in zip(overlaps, real, found, strict=True):
        row, column = best_assignment(alignment[np.ix_(rows, columns)] * overlap)
        pairs.append((rows[row], columns[column], overlap[row, column]))
    row, column, overlap = (np.concatenate(each) for each in zip(*pairs, strict=True))
    matches = _Matches(row, column, overlap)
    scores = np.array([_scores(matches, alpha, real_counts, found_counts) for alpha in _ALPHAS])
    return Hota(*scores.mean(axis=0).tolist())


class _Matches(NamedTuple):
    """Assigned pairs of all frames: numbers of the true object and of the track, and their overlap."""

    real: NDArray[np.intp]
    found: NDArray[np.intp]
    overlap: Floats


def _scores(matches: _Matches, alpha: float, real_counts: Floats, found_counts: Floats) -> tuple[float, ...]:
    """Return HOTA, detection and association at one overlap."""
    enough = matches.overlap >= alpha - _EPSILON
    matched = np.zeros((len(real_counts), len(found_counts)))
    np.add.at(matched, (matches.real[enough], matches.found[enough]), 1.0)
    pairs = matched.sum()
    detection = pairs / max(real_counts.sum() + found_counts.sum() - pairs, 1.0)
    covered = matched / np.maximum(real_counts[:, None] + found_counts - matched, 1.0)
    association = (matched * covered).sum() / max(pairs, 1.0)
    return float(np.sqrt(detection * association)), float(detection), float(association)


def _numbered(frames: Sequence[TrackFrame]) -> tuple[list[NDArray[np.intp]], Floats]:
    """Return the objects' numbers from 0 per frame, and in how many frames each is."""
    ids, numbers = np.unique(
        np.concatenate([np.zeros(0, np.int64), *(frame.ids for frame in frames)]), return_inverse=True
    )
    ends = np.cumsum([len(frame.ids) for frame in frames])
    counts = np.bincount(numbers, minlength=len(ids)).astype(np.float64)
    return np.split(numbers, ends)[: len(frames)], counts


def _overlaps(one: NDArray[np.float32] | Floats, other: NDArray[np.float32] | Floats) -> Floats:
    """Return the intersection over union [N, M] of corners [N, 4] and [M, 4]."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.maximum(high - low, 0.0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    result: Floats = shared / np.maximum(areas[0][:, None] + areas[1] - shared, _EPSILON)
    return result
