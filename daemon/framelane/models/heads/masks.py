"""Masks of objects, as outlines: small maps of logits, enlarged to the input's size and cut at 0."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
# The same as in kernels/masks.cu.
_MARGIN = 2


class Window(NamedTuple):
    """The cells of a map around a box, without the last column and row."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns; 0 for a box beside the map."""
        return self.bottom - self.top, self.right - self.left


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
        windows = self.windows(kept.xyxy, prototypes.shape[1:])
        sums = (_sum(prototypes, *each) for each in zip(kept.extra, windows, strict=True))
        return self.add_sums(found, kept.xyxy, windows, sums, letterbox)

    def windows(self, xyxy: Array, shape: Sequence[int]) -> list[Window]:
        """Return the cells around boxes [K, 4] of input pixels; enlargement looks no farther.

        Args:
            xyxy: the boxes.
            shape: rows and columns of a prototype.
        """
        height, width = shape
        windows = []
        for x1, y1, x2, y2 in xyxy.tolist():
            left, right = _cells(x1, x2, self.stride, width)
            top, bottom = _cells(y1, y2, self.stride, height)
            windows.append(Window(left, top, right, bottom))
        return windows

    def add_sums(
        self,
        found: Detections,
        xyxy: Array,
        windows: Sequence[Window],
        sums: Iterable[Array],
        letterbox: Letterbox,
    ) -> Detections:
        """Return the detections of an image with their masks.

        Args:
            found: the detections.
            xyxy: float32 [K, 4], their boxes in input pixels.
            windows: `windows` of these.
            sums: the sum of prototypes in each window, float32 of its shape.
            letterbox: where the image is in the input.
        """
        logits = zip(sums, windows, xyxy, strict=True)
        return _with_masks(found, letterbox, (self._outlines(*each) for each in logits))

    def _outlines(self, logits: Array, window: Window, xyxy: Array) -> Outlines:
        if not logits.size:
            return []
        height, width = window.shape
        mask = _enlarged(logits, (width * self.stride, height * self.stride))
        x1, y1, x2, y2 = xyxy.tolist()
        origin_x, origin_y = window.left * self.stride, window.top * self.stride
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
    stride: ClassVar[None] = None
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
        maps = (logits[query].astype(np.float32, copy=False) for query in queries)
        return _with_masks(found, letterbox, (outlines_of(_enlarged(each, self.size_wh)) for each in maps))


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


def _with_masks(found: Detections, letterbox: Letterbox, outlines: Iterable[Outlines]) -> Detections:
    masks = np.empty(len(found), np.object_)
    for each, own in enumerate(outlines):
        masks[each] = tuple(letterbox.points_to_source(outline) for outline in own)
    return replace(found, masks=masks)


def _sum(prototypes: Floats, weights: Array, window: Window) -> Array:
    """Return the weighted sum of prototypes [M, h, w] in a window."""
    left, top, right, bottom = window
    around = prototypes[:, top:bottom, left:right].astype(np.float32, copy=False)
    return np.tensordot(weights, around, axes=1)


def _enlarged(logits: Array, size_wh: SizeWH) -> NDArray[np.uint8]:
    large = cv2.resize(logits, size_wh, interpolation=cv2.INTER_LINEAR)
    return (large > 0).view(np.uint8)


def _cells(start: float, end: float, stride: int, count: int) -> tuple[int, int]:
    """Return the first cell of a span with a margin, and the one after the last."""
    first = max(int(start // stride) - _MARGIN, 0)
    return first, max(min(int(end // stride) + 1 + _MARGIN, count), first)
