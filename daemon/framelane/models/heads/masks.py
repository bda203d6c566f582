"""Masks of objects, as outlines: small maps of logits, enlarged to the input's size and cut at 0."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.models.heads.head import Candidates
    from framelane.models.input.letterbox import Letterbox, SizeWH

    Array = NDArray[np.float32]
    Floats = Array | NDArray[np.float16]
    Outlines = list[Array]

# So that an object's outlines take at most 2 kB in a message: points have up to 10 characters.
MOST_POINTS = 180
MOST_OUTLINES = 8
_LEAST_POINTS = 3
# Input pixels by which an outline may leave the mask's edge; more only if it has too many points.
_TOLERANCE = 0.5
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class PrototypeMasks:
    """Masks as sums of prototypes, cut at the box (YOLACT, arXiv 1904.02689); see Details.

    Attributes:
        output: index of the output with the prototypes [N, M, h, w]; `extra` [K, M] holds their weights.
        stride: input pixels per pixel of a prototype.
    """

    per_object: ClassVar[bool] = False
    rotated: ClassVar[bool] = False
    output: int
    stride: int

    def add(
        self,
        found: Detections,
        kept: Candidates,
        outputs: Sequence[Floats],
        image: int,
        letterbox: Letterbox,
    ) -> Detections:
        """See Details."""
        assert kept.extra is not None  # noqa: S101 - the head has read them
        prototypes = outputs[self.output][image]
        weights = kept.extra
        return _with_masks(
            found, letterbox, lambda each: self._outlines(prototypes, weights[each], kept.xyxy[each])
        )

    def _outlines(self, prototypes: Floats, weights: Array, xyxy: Array) -> Outlines:
        height, width = prototypes.shape[1:]
        x1, y1, x2, y2 = xyxy.tolist()
        left, right = _cells(x1, x2, self.stride, width)
        top, bottom = _cells(y1, y2, self.stride, height)
        if left >= right or top >= bottom:
            return []
        # Only the cells around the box: bilinear enlargement looks no farther.
        around = prototypes[:, top:bottom, left:right].astype(np.float32, copy=False)
        logits = np.tensordot(weights, around, axes=1)
        mask = _enlarged(logits, ((right - left) * self.stride, (bottom - top) * self.stride))
        origin_x, origin_y = left * self.stride, top * self.stride
        mask[: max(math.ceil(y1 - origin_y), 0)] = 0
        mask[max(math.ceil(y2 - origin_y), 0) :] = 0
        mask[:, : max(math.ceil(x1 - origin_x), 0)] = 0
        mask[:, max(math.ceil(x2 - origin_x), 0) :] = 0
        origin = np.array([origin_x, origin_y], np.float32)
        return [outline + origin for outline in outlines_of(mask)]


@dataclass(frozen=True, slots=True)
class QueryMasks:
    """A mask of the whole image for each query; see Details.

    Attributes:
        output: index of the output with the masks' logits [N, queries, h, w]; `extra` [K, 1] holds queries.
        size_wh: the input in pixels.
    """

    per_object: ClassVar[bool] = True
    rotated: ClassVar[bool] = False
    output: int
    size_wh: SizeWH

    def add(
        self,
        found: Detections,
        kept: Candidates,
        outputs: Sequence[Floats],
        image: int,
        letterbox: Letterbox,
    ) -> Detections:
        """See Details."""
        assert kept.extra is not None  # noqa: S101 - the head has read them
        logits = outputs[self.output][image]
        queries = kept.extra[:, 0].astype(np.intp)
        return _with_masks(
            found,
            letterbox,
            lambda each: outlines_of(
                _enlarged(logits[queries[each]].astype(np.float32, copy=False), self.size_wh)
            ),
        )


def outlines_of(mask: NDArray[np.uint8]) -> Outlines:
    """Return the outlines of a mask [h, w], largest first, each float32 [points, 2]; holes are left out.

    Points are at the centers of pixels. There are at most `MOST_POINTS` in all.
    """
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = [contour for contour in contours if len(contour) >= _LEAST_POINTS]
    largest = sorted(areas, key=cv2.contourArea, reverse=True)[:MOST_OUTLINES]
    return [points.astype(np.float32) + np.float32(0.5) for points in _simplified(largest)]


def _simplified(contours: Sequence[cv2.typing.MatLike]) -> list[cv2.typing.MatLike]:
    """Return contours with at most `MOST_POINTS` in all; those that then have no area are left out."""
    tolerance = _TOLERANCE
    while True:
        simple = [cv2.approxPolyDP(contour, tolerance, closed=True)[:, 0] for contour in contours]
        kept = [points for points in simple if len(points) >= _LEAST_POINTS]
        if sum(map(len, kept)) <= MOST_POINTS:
            break
        tolerance *= 2
    if kept or not contours:
        return kept
    # A comb, say, has no shape with few points but the one around it.
    hull = cv2.convexHull(contours[0])[:, 0]
    return [hull[:: -(-len(hull) // MOST_POINTS)]]


def _with_masks(found: Detections, letterbox: Letterbox, outlines: Callable[[int], Outlines]) -> Detections:
    masks = np.empty(len(found), np.object_)
    for each in range(len(found)):
        masks[each] = tuple(letterbox.points_to_source(outline) for outline in outlines(each))
    return replace(found, masks=masks)


def _enlarged(logits: Array, size_wh: SizeWH) -> NDArray[np.uint8]:
    large = cv2.resize(logits, size_wh, interpolation=cv2.INTER_LINEAR)
    return (large > 0).view(np.uint8)


def _cells(start: float, end: float, stride: int, count: int) -> tuple[int, int]:
    """Return the first cell of a span with a margin, and the one after the last."""
    return max(int(start // stride) - _MARGIN, 0), min(int(end // stride) + 1 + _MARGIN, count)
