"""What becomes of outputs that no sound model gives."""

from __future__ import annotations

import numpy as np
import pytest

from framelane.models.heads.class_filter import ClassFilter
from framelane.models.heads.end_to_end import EndToEndHead
from framelane.models.heads.yolov8 import YoloV8Head
from framelane.models.input.letterbox import Letterbox
from framelane.models.input.spec import InputSpec
from framelane.models.postprocess import Postprocessor

SPEC = InputSpec(320, 320, "rgb", 1 / 255, "center")
PLACE = Letterbox.fit((320, 320), (320, 320), "center")
WANTED = ClassFilter.everything(2, 0.4)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 3e38, 2e6])
@pytest.mark.parametrize("value", range(4))
def test_a_broken_box_costs_no_other(value: int, broken: float) -> None:
    boxes = np.array([[20, 20, 10, 10], [60, 60, 10, 10], [90, 90, 10, 10]], np.float32)
    boxes[0, value] = broken
    scores = np.array([[0.9, 0], [0.8, 0], [0, 0.7]], np.float32)
    output = np.concatenate([boxes, scores], axis=1).T[None]
    with np.errstate(all="ignore"):
        found = Postprocessor(YoloV8Head(SPEC, 2, 0), 0.45, 300)([output], [PLACE], [WANTED])[0]
    assert found.xyxy.tolist() == [[55, 55, 65, 65], [85, 85, 95, 95]]
    assert found.class_id.tolist() == [0, 1]


def test_boxes_without_an_area_are_none() -> None:
    rows = np.array([[5, 5, 5, 9, 0.9, 0], [9, 5, 5, 9, 0.9, 1], [5, 5, 9, 9, 0.8, 1]], np.float32)
    found = Postprocessor(EndToEndHead(SPEC, 0), 0.45, 300)([rows[None]], [PLACE], [WANTED])[0]
    assert found.xyxy.tolist() == [[5, 5, 9, 9]]


def test_a_picture_without_objects_gives_empty_arrays_and_asks_for_no_suppression(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framelane.models.postprocess.suppress", None)
    found = Postprocessor(YoloV8Head(SPEC, 2, 0), 0.45, 300)(
        [np.zeros((1, 6, 3), np.float32)], [PLACE], [WANTED]
    )
    assert [
        (array.shape, array.dtype.name) for array in (found[0].xyxy, found[0].confidence, found[0].class_id)
    ] == [((0, 4), "float32"), ((0,), "float32"), ((0,), "int32")]
