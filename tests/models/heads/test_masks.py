"""Masks as outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import orjson
import pytest

from framelane.core.frames import Detections
from framelane.messages.object_details import add_details
from framelane.models.heads.head import Candidates
from framelane.models.heads.masks import (
    MOST_OUTLINES,
    MOST_POINTS,
    PrototypeMasks,
    QueryMasks,
    outlines_of,
)
from framelane.models.input.letterbox import Letterbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

IN_PLACE = Letterbox.fit((160, 128), (160, 128), "topleft")


def candidates(*boxes: list[float], extra: list[list[float]]) -> tuple[Detections, Candidates]:
    count = len(boxes)
    kept = Candidates(
        np.array(boxes, np.float32),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
        np.array(extra, np.float32),
    )
    return Detections(kept.xyxy, kept.confidence, kept.class_id), kept


def filled(outlines: Sequence[NDArray[Any]], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    mask = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [np.rint(outline - 0.5).astype(np.int32)], 1)
    return mask


def test_prototype_masks_are_cut_at_the_box() -> None:
    prototypes = np.ones((1, 2, 32, 40), np.float32)
    prototypes[:, 1] = -1
    found, kept = candidates([20, 30, 60, 90], [100, 40, 200, 500], extra=[[1, 0], [1, 0.5]])
    masks = PrototypeMasks(0, 4).add(found, kept, [prototypes], 0, IN_PLACE).masks
    assert masks is not None
    assert [outline.tolist() for outline in masks[0]] == [
        [[20.5, 30.5], [20.5, 89.5], [59.5, 89.5], [59.5, 30.5]]
    ]
    assert [outline.tolist() for outline in masks[1]] == [
        [[100.5, 40.5], [100.5, 127.5], [159.5, 127.5], [159.5, 40.5]]
    ]


def test_prototype_masks_are_the_whole_maps_enlarged() -> None:
    """Only the cells around a box are enlarged, which must give the same pixels."""
    rng = np.random.default_rng(1)
    prototypes = cv2.GaussianBlur(rng.normal(size=(32, 40, 4)).astype(np.float32), (0, 0), 2)
    planes = np.ascontiguousarray(prototypes.transpose(2, 0, 1), np.float32)
    weights = [[1.0, -2, 3, 0.5], [-1, 0.2, 0.3, 2]]
    boxes: list[list[float]] = [[33.3, 20.7, 97.2, 88.8], [-5, -5, 40, 60]]
    found, kept = candidates(*boxes, extra=weights)
    masks = PrototypeMasks(0, 4).add(found, kept, [planes[None]], 0, IN_PLACE).masks
    assert masks is not None
    for mask, (x1, y1, x2, y2), weight in zip(masks, boxes, weights, strict=True):
        whole = cv2.resize(prototypes @ np.array(weight, np.float32), (160, 128)) > 0
        columns, rows = np.arange(160), np.arange(128)[:, None]
        whole &= (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
        expected, actual = filled(outlines_of(whole.astype(np.uint8)), (160, 128)), filled(mask, (160, 128))
        np.testing.assert_array_equal(expected, actual)
        assert actual.any()


@pytest.mark.parametrize("box", [[500, 500, 600, 600], [-90, -90, -50, -50]])
def test_prototype_masks_of_boxes_outside_are_empty(box: list[float]) -> None:
    found, kept = candidates(box, extra=[[1]])
    masks = PrototypeMasks(0, 4).add(found, kept, [np.ones((1, 1, 32, 40), np.float32)], 0, IN_PLACE).masks
    assert masks is not None
    assert masks[0] == ()


def test_query_masks_are_those_of_the_query_and_go_beyond_the_box() -> None:
    logits = np.full((1, 3, 32, 40), -1, np.float32)
    logits[0, 2, :, :20] = 1
    found, kept = candidates([20, 30, 60, 90], [1, 1, 2, 2], extra=[[2], [0]])
    masks = QueryMasks(0, (160, 128)).add(found, kept, [logits], 0, IN_PLACE).masks
    assert masks is not None
    assert [outline.tolist() for outline in masks[0]] == [
        [[0.5, 0.5], [0.5, 127.5], [79.5, 127.5], [79.5, 0.5]]
    ]
    assert masks[1] == ()


def test_masks_come_in_source_pixels() -> None:
    letterbox = Letterbox.fit((1600, 1280), (160, 128), "topleft")
    found, kept = candidates([20, 30, 60, 90], extra=[[1]])
    masks = PrototypeMasks(0, 4).add(found, kept, [np.ones((1, 1, 32, 40), np.float32)], 0, letterbox).masks
    assert masks is not None
    assert masks[0][0].tolist() == [[205, 305], [205, 895], [595, 895], [595, 305]]


def test_outlines_of_an_empty_mask_are_none() -> None:
    assert outlines_of(np.zeros((9, 9), np.uint8)) == []


def test_outlines_of_parts_come_largest_first_without_holes() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[2:6, 2:6] = 1
    mask[10:30, 10:30] = 1
    mask[15:20, 15:20] = 0
    large, small = outlines_of(mask)
    assert large.tolist() == [[10.5, 10.5], [10.5, 29.5], [29.5, 29.5], [29.5, 10.5]]
    assert small.min() == 2.5


@pytest.mark.parametrize("kind", ["noise", "comb", "circle"])
def test_outlines_of_anything_fit_in_two_kilobytes(kind: str) -> None:
    mask = np.zeros((640, 640), np.uint8)
    if kind == "noise":
        mask[:] = np.random.default_rng(1).integers(0, 2, mask.shape)
    elif kind == "comb":
        mask[:, ::2] = mask[0] = 1
    else:
        cv2.circle(mask, (320, 320), 300, 1, -1)
    outlines = outlines_of(mask)
    assert 1 <= len(outlines) <= MOST_OUTLINES
    assert sum(map(len, outlines)) <= MOST_POINTS
    far = np.empty(1, np.object_)
    far[0] = tuple(outline + 9000 for outline in outlines)
    box = np.zeros((1, 4), np.float32)
    objects: list[dict[str, object]] = [{}]
    add_details(objects, Detections(box, np.ones(1, np.float32), np.zeros(1, np.int32), masks=far))
    assert len(orjson.dumps(objects[0]["mask"])) <= 2000


def test_outlines_of_a_circle_stay_within_a_pixel() -> None:
    mask = np.zeros((640, 640), np.uint8)
    cv2.circle(mask, (320, 320), 300, 1, -1)
    (outline,) = outlines_of(mask)
    radius = np.hypot(*(outline - 320.5).T)
    assert 299 <= radius.min() <= radius.max() <= 301
