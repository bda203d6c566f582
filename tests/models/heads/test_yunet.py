"""YuNet: faces with five points, in twelve outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tests.models import second_files, tiny_models
from tests.models.heads.scenes import detect, load, refusal, seen, wanting
from tests.models.tiny_models import Box

if TYPE_CHECKING:
    from pathlib import Path

FACES = (Box((20, 30, 60, 90), 0, 0.9), Box((90, 40, 130, 80), 0, 0.6), Box((1, 1, 9, 9), 0, 0.2))
POINTS = (
    (30, 45, 50, 45, 40, 60, 32, 75, 48, 75),
    (100, 50, 120, 50, 110, 60, 102, 70, 118, 70),
    (2, 2, 7, 2, 5, 5, 3, 7, 7, 7),
)


def save(path: Path, order: slice = slice(None)) -> Path:
    outputs = second_files.yunet(FACES, POINTS)
    names = list(outputs)[order]
    return tiny_models.save(path, [outputs[name] for name in names], names=names)


def test_nothing_is_found_if_no_face_is_sure_enough(tmp_path: Path) -> None:
    (found,) = detect(load(save(tmp_path / "m.onnx"), labels=["face"]), wanting(np.inf))[1]
    assert len(found) == 0


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["as exported", "another order"])
def test_faces_and_points_are_read_from_all_strides(order: slice, tmp_path: Path) -> None:
    model = load(save(tmp_path / "m.onnx", order), labels=["face"])
    assert (model.head.name, model.head.classes, model.head.strides) == ("yunet", 1, (8, 16, 32))
    spec = model.input
    assert (spec.color, spec.scale, spec.placement, spec.pad) == ("bgr", 1.0, "topleft", 0)
    letterbox, batch = detect(model, batch=2)
    for found in batch:
        assert seen(found) == [(0, 0.9), (0, 0.6)]
        corners = letterbox.to_source(np.array([face.xyxy for face in FACES[:2]], np.float32))
        np.testing.assert_allclose(found.xyxy, corners, atol=0.05)
        points = letterbox.points_to_source(np.array(POINTS[:2], np.float32).reshape(2, 5, 2))
        assert found.keypoints is not None
        np.testing.assert_allclose(found.keypoints[..., :2], points, atol=0.05)
        assert (found.keypoints[..., 2] == 1).all()


def test_opencv_finds_the_same_in_the_same_file(tmp_path: Path) -> None:
    outputs = second_files.yunet(FACES, POINTS)
    path = tiny_models.save(tmp_path / "m.onnx", list(outputs.values()), names=list(outputs), batch=1)
    model = load(path, labels=["face"])
    (found,) = model.detect(model.input.blank(1), [model.input.letterbox((160, 128))], [model.filter()])
    try:
        detector = cv2.FaceDetectorYN.create(str(path), "", (160, 128), model.confidence, 0.45)
        _, faces = detector.detect(np.zeros((128, 160, 3), np.uint8))
    except (AttributeError, cv2.error) as error:
        pytest.skip(f"this OpenCV can't read it: {error}")
    assert found.keypoints is not None
    corner, size = found.xyxy[:, :2], found.xyxy[:, 2:] - found.xyxy[:, :2]
    own = np.column_stack([corner, size, found.keypoints[..., :2].reshape(-1, 10), found.confidence])
    np.testing.assert_allclose(own, faces, atol=0.001)


def test_faces_in_large_cells_are_scaled_by_their_stride(tmp_path: Path) -> None:
    # Beyond the 320 cells of stride 8 and the 80 of stride 16.
    outputs = second_files.yunet([])
    outputs["cls_32"][0, 6], outputs["obj_32"][0, 6] = 0.64, 1.0
    outputs["bbox_32"][0, 6] = [0.5, 0.5, np.log(2), np.log(1)]
    path = tiny_models.save(tmp_path / "m.onnx", list(outputs.values()), names=list(outputs))
    letterbox, (found,) = detect(load(path, labels=["face"]))
    # The second cell of the second row: column 1, row 1, of five columns.
    expected = letterbox.to_source(np.array([[48 - 32, 48 - 16, 48 + 32, 48 + 16]], np.float32))
    assert seen(found) == [(0, 0.8)]
    np.testing.assert_allclose(found.xyxy, expected, atol=0.05)


def test_overlapping_faces_are_suppressed(tmp_path: Path) -> None:
    outputs = second_files.yunet([FACES[0], Box((21, 31, 61, 91), 0, 0.8)])
    path = tiny_models.save(tmp_path / "m.onnx", list(outputs.values()), names=list(outputs))
    assert seen(detect(load(path, labels=["face"]))[1][0]) == [(0, 0.9)]


def test_scores_without_a_sigmoid_are_refused(tmp_path: Path) -> None:
    outputs = second_files.yunet(FACES)
    outputs["cls_8"] -= 4
    assert "they look like logits" in refusal(tmp_path, list(outputs.values()), labels=["face"])


def test_missing_points_make_it_another_model(tmp_path: Path) -> None:
    outputs = second_files.yunet(FACES)
    del outputs["kps_16"]
    assert "FILE" in refusal(tmp_path, list(outputs.values()), labels=["face"])
