"""Classifiers: the best class of the whole image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import second_files, tiny_models
from tests.models.heads.scenes import load, refusal, sample_of, seen, wanting

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.models.heads.classifier import KIND
from framelane.models.heads.recognize import recognize
from framelane.models.inspection import inspect_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

PROBABILITIES = np.array([[0.1, 0.7, 0.2]], np.float32)
LOGITS = np.array([[-2.0, 3.0, 1.0]], np.float32)
INDEPENDENT = np.array([[0.9, 0.8, 0.1]], np.float32)


def head_of(scores: Array, **facts: Any) -> Any:
    return recognize(sample_of(scores, **facts))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (PROBABILITIES, (1, 0.7)),
        (PROBABILITIES.reshape(1, 3, 1, 1), (1, 0.7)),
        (LOGITS, (1, 0.876)),
        (LOGITS * 100, (1, 1.0)),
        (INDEPENDENT, (0, 0.9)),
    ],
    ids=["softmax", "with sides of 1", "logits", "large logits", "sigmoids"],
)
def test_best_class_is_the_whole_image(scores: Array, expected: tuple[int, float]) -> None:
    head = head_of(scores)
    assert (head.name, head.classes, head.overlapping) == ("classifier", 3, False)
    found = head.decode([scores], 0, wanting(0.0, 0.0, 0.0))
    assert found.xyxy.tolist() == [[0, 0, 160, 128]]
    assert (int(found.class_id[0]), round(float(found.confidence[0]), 3)) == expected


def test_threshold_and_wanted_classes_apply_to_the_best_class_alone() -> None:
    head = head_of(PROBABILITIES)
    assert [
        len(head.decode([PROBABILITIES], 0, wanting(*thresholds)).confidence)
        for thresholds in ((0.0, 0.7, 0.0), (0.0, 0.75, 0.0), (0.0, np.inf, 0.0))
    ] == [1, 0, 0]


def test_scores_that_are_no_numbers_find_nothing() -> None:
    broken = np.array([[0.1, np.nan, 0.2], [0.1, 0.2, 0.7]], np.float32)
    head = head_of(PROBABILITIES)
    assert [len(head.decode([broken], image, wanting(0, 0, 0)).confidence) for image in (0, 1)] == [0, 1]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"task": "classify"}, ("rgb", 1 / 255, "stretch", (0, 0, 0), (1, 1, 1))),
        ({}, ("rgb", 1 / 255, "stretch", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
    ],
    ids=["Ultralytics", "ImageNet"],
)
def test_images_are_prepared_as_in_training(metadata: dict[str, str], expected: tuple[Any, ...]) -> None:
    spec = head_of(PROBABILITIES, metadata=metadata).input
    assert (spec.color, spec.scale, spec.placement, spec.mean, spec.std) == expected


@pytest.mark.parametrize("logits", [False, True])
def test_file_is_read_in_batches(tmp_path: Path, *, logits: bool) -> None:
    model = load(second_files.color_classifier(tmp_path / "m.onnx", logits=logits), labels="auto", batch=4)
    assert (model.head.name, model.info.labels, model.batch) == ("classifier", second_files.COLORS, 4)
    images = np.zeros((3, 3, 32, 32), np.float32)
    for number in range(3):
        images[number, 2 - number] = 0.8
    letterbox = model.input.letterbox((400, 200))
    found = model.detect(images, [letterbox] * 3, [model.filter()] * 3)
    assert [seen(each)[0][0] for each in found] == [2, 1, 0]
    assert found[0].xyxy.tolist() == [[0, 0, 400, 200]]


@pytest.mark.parametrize(
    ("options", "metadata", "batch"),
    [
        ({}, {"task": "classify"}, "batch"),
        ({"head": "classifier"}, {}, "batch"),
        ({}, {}, 1),
    ],
    ids=["by its task", "by its head", "by its fixed batch"],
)
def test_classifier_of_seven_is_no_list_of_detections(
    options: dict[str, Any], metadata: dict[str, str], batch: int | str, tmp_path: Path
) -> None:
    scores = np.array([[0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1]], np.float32)
    path = tiny_models.save(tmp_path / "m.onnx", [scores], batch=batch, metadata=metadata)
    labels = [f"c{number}" for number in range(7)]
    model = load(path, labels=labels, confidence=0.3, **options)
    found = model.detect(model.input.blank(1), [model.input.letterbox((64, 64))], [model.filter()])
    assert (model.head.name, seen(found[0])) == ("classifier", [(3, 0.4)])
    assert inspect_model(ModelConfig(path=str(path), labels=labels, **options)).error is None


def test_several_classifiers_in_one_file_need_a_name(tmp_path: Path) -> None:
    outputs = [PROBABILITIES, PROBABILITIES[:, ::-1]]
    tiny_models.save(tmp_path / "m.onnx", outputs, names=("color", "kind"))
    with pytest.raises(ModelError, match="set `output` to the name of the one"):
        load(tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx", output="kind")
    assert model.head.decode(outputs, 0, model.filter()).class_id.tolist() == [1]
    assert model.head.output == 1


def test_scores_beside_boxes_are_no_classifier(tmp_path: Path) -> None:
    assert KIND.mismatch(
        sample_of(PROBABILITIES, tiny_models.yolov8([])), sample_of(PROBABILITIES).outputs[0]
    )
    assert head_of(tiny_models.yolov8([])).name == "yolov8"
    single = np.array([[0.5]], np.float32)
    assert "which fits no head that Framelane knows" in refusal(tmp_path, [single])


def test_number_of_names_must_be_that_of_the_classes(tmp_path: Path) -> None:
    assert refusal(tmp_path, [PROBABILITIES], labels=["a", "b"]) == (
        "FILE has 3 classes, but the list in `labels` names 2; "
        "set `labels` to `auto`, a list or a file of 3 names"
    )
