"""Matches detections to tracks by their boxes, for all streams of a batch at once.

Arrays have a row per stream [R], padded to the largest number of tracks [T] and detections [D] in the batch.
Coordinates come first, [2, R, T] or [4, R, T], so that each of them lies in one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_NEVER = -1.0


def corners(center: Floats, size: Floats) -> Floats:
    """Return corners x1 y1 x2 y2 [4, ...] of boxes with these centers and sizes [2, ...]."""
    half = size * 0.5
    return np.concatenate((center - half, center + half))


def overlaps(tracks: Floats, found: Floats) -> Floats:
    """Return the intersection over union [R, T, D] of boxes [4, R, T] and [4, R, D] given by corners."""
    left, top, right, bottom = tracks[..., None]
    other_left, other_top, other_right, other_bottom = found[:, :, None]
    width = np.minimum(right, other_right)
    width -= np.maximum(left, other_left)
    shared: Floats = np.minimum(bottom, other_bottom)
    shared -= np.maximum(top, other_top)
    np.maximum(width, 0.0, out=width)
    np.maximum(shared, 0.0, out=shared)
    shared *= width
    union = (right - left) * (bottom - top) + (other_right - other_left) * (other_bottom - other_top)
    union -= shared
    # Padding has no area.
    np.maximum(union, 1e-9, out=union)
    shared /= union
    return shared


def matches(score: Floats, least: float) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Match tracks and detections one to one, best scores first.

    Pairs that are each other's best are taken together, again and again until none is left: the same as taking the
    best pair of all each time, in a few passes over the batch.

    Args:
        score: [R, T, D]; overwritten.
        least: the least score of a match.

    Returns:
        Rows, tracks and detections of the matches.
    """
    found: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]] = []
    score[score < least] = _NEVER
    first = (np.arange(score.shape[0]) * score.shape[2])[:, None]
    while score.max(initial=_NEVER) >= least:
        best = score.argmax(axis=2)
        back = score.argmax(axis=1).ravel()
        # The best of all is mutual, so that each pass takes some.
        mutual = back.take(first + best) == np.arange(score.shape[1])
        row, track = np.nonzero(mutual & (score.max(axis=2) >= least))
        detection = best[row, track]
        found.append((row, track, detection))
        score[row, track] = _NEVER
        score[row, :, detection] = _NEVER
    if not found:
        none = np.zeros(0, np.intp)
        return none, none, none
    rows, tracks, detections = (np.concatenate(each) for each in zip(*found, strict=True))
    return rows, tracks, detections
