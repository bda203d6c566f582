"""Which head a model gets, of several outputs and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import (
    FAINT_BICYCLE,
    SCENE,
    detect,
    load,
    refusal,
    sample_of,
    seen,
)

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.models.heads.recognize import HEADS, recognize

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


@pytest.mark.parametrize(
    ("output", "name"),
    [
        (tiny_models.yolox_raw(SCENE), "yolox"),
        (tiny_models.decoded_rows(SCENE), "yolox-decoded"),
        (tiny_models.decoded_rows(SCENE, anchors=3), "yolov5"),
        (tiny_models.yolov8(SCENE), "yolov8"),
        (tiny_models.end2end(SCENE), "end2end"),
        (tiny_models.rtdetr(SCENE), "rtdetr"),
    ],
)
def test_recognize_finds_each_head_and_the_setting_finds_the_same(output: Array, name: str) -> None:
    sample = sample_of(np.zeros((1, 3, 16, 20, 8), np.float32), output)
    found = recognize(sample)
    assert (name, 1) == (found.name, found.output)
    assert found == recognize(sample, name, "output1")


def test_heads_are_those_of_the_configuration() -> None:
    settings = get_args(ModelConfig.model_fields["head"].annotation)
    assert sorted(["auto", *HEADS]) == sorted(settings)


def test_recognize_refuses_another_task() -> None:
    with pytest.raises(ModelError) as caught:
        recognize(sample_of(tiny_models.yolov8(SCENE), metadata={"task": "depth"}))
    assert str(caught.value) == (
        "FILE is a model for the task `depth`; Framelane runs the tasks detect, segment, pose, obb and classify"
    )


def test_recognize_tells_what_would_fit_the_task_that_the_exporter_noted() -> None:
    with pytest.raises(ModelError) as caught:
        recognize(sample_of(tiny_models.yolov8(SCENE), metadata={"task": "segment"}))
    assert str(caught.value) == (
        "FILE gives output0 [1, 7, 420] for a 160x128 picture, which fits no head that Framelane knows for the "
        "task `segment`: rf-detr-seg dets [N, Q, 4], labels [N, Q, classes+1] and masks [N, Q, h, w]; "
        "end2end-seg [N, K, 6+M] with prototypes [N, M, h, w]; "
        "yolov8-seg [N, 4+classes+M, anchors] with prototypes [N, M, h, w]"
    )


def test_recognize_tells_the_fault_of_the_only_output_that_fits() -> None:
    with pytest.raises(ModelError, match=r"^FILE: output0 \[1, 7, 420\] holds scores from "):
        recognize(sample_of(tiny_models.yolov8(SCENE) - 9))


@pytest.mark.parametrize("setting", ["auto", "yolov8"])
def test_recognize_passes_over_outputs_of_several_images(setting: str) -> None:
    both = np.concatenate([tiny_models.yolov8(SCENE)] * 2)
    with pytest.raises(ModelError, match=r"^FILE gives output0 \[2, 7, 420\] for a 160x128 picture"):
        recognize(sample_of(both), setting)
    assert recognize(sample_of(both, tiny_models.yolov8(SCENE)), setting).output == 1


def test_the_detection_output_is_found_among_others(tmp_path: Path) -> None:
    feature_maps = np.zeros((1, 3, 16, 20, 8), np.float32)
    path = tiny_models.save(tmp_path / "m.onnx", [feature_maps, tiny_models.decoded_rows(SCENE, anchors=3)])
    model = load(path)
    assert model.head.name == "yolov5"
    assert seen(detect(model)[1][0]) == [(0, 0.9), (2, 0.6)]


def test_a_forced_head_is_taken_as_the_configuration_says(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.decoded_rows(SCENE)])
    assert load(path).head.name == "yolox-decoded"
    assert load(path, head="yolov5").head.name == "yolov5"


def test_several_outputs_that_fit_are_refused_until_one_is_named(tmp_path: Path) -> None:
    outputs = [tiny_models.yolov8([FAINT_BICYCLE]), tiny_models.yolov8(SCENE)]
    assert refusal(tmp_path, outputs) == (
        "FILE has several outputs that could be read: output0 [1, 7, 420], output1 [1, 7, 420]; "
        "set `output` to the name of the one with the final detections"
    )
    assert seen(detect(load(tmp_path / "m.onnx", output="output1"))[1][0]) == [(0, 0.9), (2, 0.6)]
    assert seen(detect(load(tmp_path / "m.onnx", output="output0", confidence=0.2))[1][0]) == [(1, 0.3)]


def test_several_outputs_of_different_layouts_are_refused_until_one_is_named(tmp_path: Path) -> None:
    outputs = [tiny_models.yolov8(SCENE), tiny_models.end2end(SCENE)]
    assert "output0 [1, 7, 420], output1 [1, 300, 6]" in refusal(tmp_path, outputs)
    assert load(tmp_path / "m.onnx", output="output1").head.name == "end2end"


def test_an_output_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    assert refusal(tmp_path, [tiny_models.yolov8(SCENE)], output="boxes") == (
        "FILE has no output `boxes`; set `output` to one of output0 [1, 7, 420], or leave it out"
    )


def test_the_same_output_twice_is_no_question(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8(SCENE)] * 2)
    assert seen(detect(load(path))[1][0]) == [(0, 0.9), (2, 0.6)]


def test_an_output_whose_values_can_not_be_right_is_no_rival(tmp_path: Path) -> None:
    logits = tiny_models.yolov8(SCENE) - 9
    path = tiny_models.save(tmp_path / "m.onnx", [logits, tiny_models.yolov8(SCENE)])
    assert load(path).head.output == 1


def test_an_output_with_other_classes_than_names_is_no_rival(tmp_path: Path) -> None:
    outputs = [tiny_models.yolov8(SCENE, classes=5), tiny_models.yolov8(SCENE)]
    assert load(tiny_models.save(tmp_path / "m.onnx", outputs)).head.output == 1
