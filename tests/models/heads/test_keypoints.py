"""Points of objects: how many, and where."""

from __future__ import annotations

import numpy as np
import pytest

from framelane.core.frames import Detections
from framelane.models.heads.head import Candidates
from framelane.models.heads.keypoints import Keypoints, keypoints_in, noted_keypoints
from framelane.models.input.letterbox import Letterbox


def test_add_scales_points_to_the_source_and_clips_them() -> None:
    letterbox = Letterbox.fit((200, 200), (100, 100), "topleft")
    one, zero = np.ones(1, np.float32), np.zeros(1, np.int32)
    extra = np.array([[10, 20, 0.5, -5, 300, 0.25]], np.float32)
    kept = Candidates(np.array([[0, 0, 9, 9]], np.float32), one, zero, extra)
    found = Keypoints(2, 3).add(Detections(kept.xyxy, one, zero), kept, [], 0, letterbox)
    assert found.keypoints is not None
    assert found.keypoints.tolist() == [[[20, 40, 0.5], [0, 200, 0.25]]]


def test_add_gives_points_without_a_confidence_the_highest() -> None:
    letterbox = Letterbox.fit((100, 100), (100, 100), "topleft")
    one, zero = np.ones(1, np.float32), np.zeros(1, np.int32)
    kept = Candidates(np.array([[0, 0, 9, 9]], np.float32), one, zero, np.array([[1, 2, 3, 4]], np.float32))
    found = Keypoints(2, 2).add(Detections(kept.xyxy, one, zero), kept, [], 0, letterbox)
    assert found.keypoints is not None
    assert found.keypoints.tolist() == [[[1, 2, 1], [3, 4, 1]]]


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("[17, 3]", Keypoints(17, 3)),
        ("(5, 2)", Keypoints(5, 2)),
        ("[17, 4]", None),
        ("[0, 3]", None),
        ("17", None),
        ("points", None),
        (None, None),
    ],
)
def test_noted_keypoints_reads_the_exporters_note(note: str | None, expected: Keypoints | None) -> None:
    assert noted_keypoints({} if note is None else {"kpt_shape": note}) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([30.0, 40, 0.5, 60, 70, 0.1], Keypoints(2, 3)),
        ([30.0, 40, 60, 70], Keypoints(2, 2)),
        ([30.0, 40, 50, 60, 70, 80], Keypoints(3, 2)),
        ([30.0, 40, -0.5], None),
        ([0.3, 0.4, 0.5], None),
        ([9.9, 3.5, -4, 8], None),
        ([30.0], None),
        ([], None),
    ],
)
def test_keypoints_in_tells_points_from_their_values(row: list[float], expected: Keypoints | None) -> None:
    assert keypoints_in(np.array([row, row], np.float32).reshape(2, -1), reach=20) == expected
