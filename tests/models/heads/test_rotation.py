"""Corners, hulls and angles of rotated boxes."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from framelane.core.frames import Detections
from framelane.models.heads.head import Candidates
from framelane.models.heads.rotation import Rotation, corners_of, hulls_of
from framelane.models.input.letterbox import Letterbox


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.5, -0.7, 3.0, 7.0])
def test_corners_of_are_those_of_opencv(angle: float) -> None:
    box = np.array([[50, 40, 30, 10, angle]], np.float32)
    expected = cv2.boxPoints(((50, 40), (30, 10), math.degrees(angle)))
    found = corners_of(box)[0]
    assert sorted(map(tuple, found.round(2).tolist())) == sorted(map(tuple, expected.round(2).tolist()))
    hull = hulls_of(box)[0]
    np.testing.assert_allclose(hull, [*expected.min(axis=0), *expected.max(axis=0)], atol=1e-3)


def test_corners_of_come_in_turn() -> None:
    corners = corners_of(np.array([[50, 40, 30, 10, 0.0]], np.float32))[0]
    assert corners.tolist() == [[65, 45], [65, 35], [35, 35], [35, 45]]


def add(box: list[float], letterbox: Letterbox) -> Detections:
    boxes = np.array([box], np.float32)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.int32)
    kept = Candidates(hulls_of(boxes), one, zero, boxes)
    return Rotation().add(Detections(letterbox.to_source(kept.xyxy), one, zero), kept, [], 0, letterbox)


@pytest.mark.parametrize(
    ("angle", "expected"),
    [(0.3, 0.3), (-0.3, -0.3), (math.pi - 0.2, -0.2), (math.pi + 0.3, 0.3), (-7.0, 2 * math.pi - 7)],
)
def test_add_gives_angles_within_half_a_turn(angle: float, expected: float) -> None:
    found = add([50, 40, 30, 10, angle], Letterbox.fit((100, 100), (100, 100), "topleft"))
    assert found.angle is not None
    assert found.angle.tolist() == pytest.approx([expected], abs=1e-5)


def test_add_scales_corners_to_the_source_and_lets_them_leave_it() -> None:
    found = add([4, 40, 30, 10, 0.0], Letterbox.fit((400, 400), (100, 100), "topleft"))
    assert found.corners is not None
    assert found.corners[0].tolist() == [[76, 180], [76, 140], [-44, 140], [-44, 180]]
    assert found.xyxy.tolist() == [[0, 140, 76, 180]]
