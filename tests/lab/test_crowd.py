"""A crowd's model finds in each frame of its clip what belongs to the frame's number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from framelane.config.sections.model import ModelConfig
from framelane.inference.model import load_model
from lab.crowd import LABELS, numbered_clip, scattered, walking, write_crowd_model

if TYPE_CHECKING:
    from pathlib import Path

    from lab.crowd import Boxes

FRAMES = 40
SIDE_PX = 320
PARTS = (walking(5, FRAMES), scattered(80, FRAMES))


def found_in(folder: Path, clip: Path) -> list[Boxes]:
    """Rows as in Boxes, with corners in pixels; most confident first."""
    path = write_crowd_model(folder / "crowd.onnx", *PARTS)
    model = load_model("crowd", ModelConfig(path=str(path), backend="onnxruntime"))
    runner = model.runner(1)
    runner.open()
    rows = []
    with av.open(str(clip)) as container:
        for picture in container.decode(video=0):
            (seen,) = runner.detect([picture], [model.filter(confidence=0.5)], [None]).detections
            rows.append(np.c_[seen.xyxy, seen.confidence, seen.class_id].astype(np.float32))
    return rows


@pytest.mark.parametrize("part", [0, 1])
def test_model_finds_the_boxes_of_each_frame(tmp_path: Path, part: int) -> None:
    clip = numbered_clip(tmp_path / "crowd.mp4", part * FRAMES, FRAMES, 10)
    found = found_in(tmp_path, clip)
    assert len(found) == FRAMES
    for seen, boxes in zip(found, PARTS[part], strict=True):
        there = boxes[boxes[:, 4] > 0]
        there[:, :4] = np.clip(there[:, :4] * SIDE_PX, 0, SIDE_PX)
        assert np.array(sorted(seen.tolist())) == pytest.approx(np.array(sorted(there.tolist())), abs=0.1)


def test_people_and_cars_cross_the_picture() -> None:
    boxes = walking(30, 400)
    shown = boxes[..., 4] > 0
    assert 0.95 < shown.mean() < 0.99
    assert set(boxes[shown, 5].tolist()) == set(range(len(LABELS)))
    steps = np.abs(np.diff(boxes[..., :4], axis=0)).max(axis=2)
    assert np.median(steps) < 0.03
    # About every hundred frames another one begins at a border.
    assert 60 < (steps > 0.1).sum() < 200


def test_scattered_boxes_continue_none_of_the_frame_before() -> None:
    boxes = scattered(50, 40)
    steps = np.abs(np.diff(boxes[..., :2], axis=0)).max(axis=2)
    assert np.median(steps) > 0.2
