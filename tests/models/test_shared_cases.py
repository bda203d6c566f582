"""Files that were seen to be read wrongly; needs ../shared."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.inference.model import load_model

CASES = Path(__file__).parents[2].parent / "shared" / "cases" / "models"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"needs the models in {CASES}"),
]


def detect(name: str, count: int) -> list[list[tuple[str, float, list[float]]]]:
    """The detections in each of this many equal images."""
    model = load_model("m", ModelConfig(path=str(CASES / name), backend="onnxruntime"))
    pictures = [av.VideoFrame(160, 128, "yuv420p") for _ in range(count)]
    with closing(model.runner(count)) as runner:
        runner.open()
        found = runner.detect(pictures, [model.filter()] * count, [None] * count).detections
    return [
        [
            (model.info.labels[label], round(float(score), 2), np.round(box, 1).tolist())
            for box, score, label in zip(each.xyxy, each.confidence, each.class_id, strict=True)
        ]
        for each in found
    ]


def test_centres_and_sizes_in_parts_of_the_picture() -> None:
    (found,) = detect("normalised_cxcywh_300x6.onnx", 1)
    assert [label for label, *_ in found] == ["car", "person"]
    boxes = [box for *_, box in found]
    np.testing.assert_allclose(boxes, [[8, 6.4, 72, 70.4], [96, 64, 128, 89.6]], atol=0.06)


def test_corners_and_scores_in_two_outputs() -> None:
    model = load_model("m", ModelConfig(path=str(CASES / "boxes_and_80_scores.onnx"), backend="onnxruntime"))
    assert (model.head.name, model.head.classes) == ("yolo-nas", 80)


def test_every_picture_of_a_batch_gets_its_detections() -> None:
    everyone = detect("first_picture_only.onnx", 4)
    assert [[label for label, *_ in found] for found in everyone] == [["person", "car"]] * 4


@pytest.mark.parametrize(
    ("name", "count", "says"),
    [
        ("coco80_unreadable_names.onnx", 1, "names its classes in its metadata in a way that can't be read"),
        ("logits.onnx", 1, "they look like logits"),
        ("nan.onnx", 1, "NaN (not a number)"),
        ("merge_batch.onnx", 2, "not one row for each; set `batch: 1`"),
    ],
)
def test_what_can_not_be_right_is_refused(name: str, count: int, says: str) -> None:
    with pytest.raises(ModelError) as caught:
        detect(name, count)
    assert says in str(caught.value)
