"""What was found in frames, alone and in the arrays of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_NO_CLASS = -1
_MOST_PADDING = 4096
"""Pairs of a track and a detection that padding may add to a batch; more cost as much as another pass."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was found in one frame.

    Attributes:
        stream: whose frame it is.
        at_s: the frame's time in seconds; within a stream it only goes forward.
        xyxy: [N, 4], corners in pixels.
        confidence: [N].
        class_id: [N].
        weak: bool [N], whether a detection may continue a track but not begin one.
    """

    stream: Hashable
    at_s: float
    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    weak: NDArray[np.bool_]


class Found(NamedTuple):
    """Detections of a batch, padded to one width: xyxy [4, R, D], the others [R, D]."""

    xyxy: Floats
    confidence: Floats
    class_id: Integers
    weak: NDArray[np.bool_]


def alike(sizes: NDArray[np.intp]) -> list[NDArray[np.intp] | slice]:
    """Split a batch into observations of like size, so that one crowded stream does not pad all others.

    Args:
        sizes: the larger of the numbers of tracks and detections of each observation.

    Returns:
        What selects the observations of each part.
    """
    squares = (sizes * sizes).tolist()
    if max(squares, default=0) * len(squares) - sum(squares) <= _MOST_PADDING:
        return [slice(None)]
    order = np.argsort(-sizes)
    parts, first, padding = [], 0, 0
    for place, index in enumerate(order.tolist()):
        padding += squares[order[first]] - squares[index]
        if padding > _MOST_PADDING:
            parts.append(order[first:place])
            first, padding = place, 0
    return [*parts, order[first:]]


def padded(batch: Sequence[Observation], most: int) -> Found:
    """Return the detections of all observations in arrays of one width, `most`."""
    xyxy = np.zeros((4, len(batch), most))
    confidence = np.zeros((len(batch), most))
    class_id = np.full((len(batch), most), _NO_CLASS, np.int64)
    weak = np.zeros((len(batch), most), np.bool_)
    for index, each in enumerate(batch):
        count = len(each.xyxy)
        if count:
            xyxy[:, index, :count] = each.xyxy.T
            confidence[index, :count] = each.confidence
            class_id[index, :count] = each.class_id
            weak[index, :count] = each.weak
    return Found(xyxy, confidence, class_id, weak)
