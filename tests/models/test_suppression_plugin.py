"""Files that end in TensorRT's suppression plugins, as exporters write them, run without the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.models import tiny_models
from tests.models.heads.scenes import LABELS, SCENE, detect, load, seen

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.models.artifact import Artifact
from framelane.models.engines.precision import prepare
from framelane.models.inspection import inspect_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

EFFICIENT, BATCHED = "EfficientNMS_TRT", "BatchedNMSDynamic_TRT"
THRESHOLDS: dict[str, Any] = {
    "score_threshold": 0.25,
    "iou_threshold": 0.65,
    "max_output_boxes": 100,
    "plugin_version": "1",
}
BATCHED_OPTIONS = {"shareLocation": 1, "backgroundLabelId": -1, "numClasses": 3, "scoreThreshold": 0.25}
DETECTIONS = ("num_dets", "det_boxes", "det_scores", "det_classes")


def scores_of(classes: int = 3, before: int = 0) -> Array:
    """Scores of every cell; `before` classes come before those of the scene."""
    cells = tiny_models.labelled(SCENE).shape[1]
    scores = np.full((1, cells, before + classes), 0.001, np.float32)
    for number, box in enumerate(SCENE):
        scores[0, 5 * number, before + box.class_id] = box.score
    return scores


def corners_of() -> Array:
    return tiny_models.labelled(SCENE)[..., :4]


def centers_of() -> Array:
    boxes = corners_of()
    return np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=2)


def logits(scores: Array) -> Array:
    return np.asarray(np.log(scores / (1 - scores)), np.float32)


def save(
    path: Path,
    arrays: Sequence[Array],
    plugin: str = EFFICIENT,
    *,
    domain: str = "",
    dtype: str = "float32",
    behind: Sequence[onnx.NodeProto] = (),
    also: Sequence[str] = (),
    more: Sequence[str] = (),
    **options: Any,
) -> Path:
    """A file whose plugin reads these arrays; `behind` are nodes after it, `also` and `more` other outputs."""
    names = [f"array{number}" for number in range(len(arrays))]
    tiny_models.save(path, arrays, dtype=dtype, metadata=tiny_models.NAMES, names=names)
    model = onnx.load(path)
    read = [name for name in names if name not in more]
    model.graph.node.append(helper.make_node(plugin, read, list(DETECTIONS), domain=domain, **options))
    model.graph.node.extend(behind)
    kept = [value for value in model.graph.output if value.name in more]
    del model.graph.output[:]
    kinds = (TensorProto.INT32, TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT32)
    shapes: tuple[list[int | str], ...] = (["batch", 1], ["batch", 100, 4], ["batch", 100], ["batch", 100])
    for name, kind, shape in zip(DETECTIONS, kinds, shapes, strict=True):
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    for name in also:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    model.graph.output.extend(kept)
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    onnx.save(model, path)
    return path


EXPORTS: dict[str, tuple[list[Array], str, dict[str, Any]]] = {
    "YOLOv7 and YOLOv9": (
        [centers_of(), scores_of()],
        EFFICIENT,
        {**THRESHOLDS, "box_coding": 1, "score_activation": 0, "background_class": -1, "domain": "TRT"},
    ),
    "YOLO-NAS": (
        [corners_of(), scores_of()],
        EFFICIENT,
        {**THRESHOLDS, "box_coding": 0, "score_activation": 0, "background_class": -1},
    ),
    "logits": (
        [corners_of(), logits(scores_of())],
        EFFICIENT,
        {"score_activation": 1, "background_class": -1},
    ),
    "halves": (
        [centers_of(), scores_of()],
        EFFICIENT,
        {"box_coding": 1, "dtype": "float16", "background_class": -1},
    ),
    "one box for all classes": ([corners_of()[:, :, None], scores_of()], BATCHED, BATCHED_OPTIONS),
}


@pytest.mark.parametrize("export", EXPORTS)
def test_our_suppression_takes_the_plugins_place(export: str, tmp_path: Path) -> None:
    arrays, plugin, options = EXPORTS[export]
    model = load(save(tmp_path / "m.onnx", arrays, plugin, **options), iou=0.45)
    letterbox, (found, again) = detect(model, batch=2)
    assert model.head.name == "yolo-nas"
    assert seen(found) == seen(again) == [(0, 0.9), (2, 0.6)]
    expected = letterbox.to_source(np.array([SCENE[1].xyxy], np.float32))
    np.testing.assert_allclose(found.xyxy[:1], expected, atol=0.05)
    # A stream may ask for more than the export's threshold lets through.
    _, (faint,) = detect(model, model.filter(confidence=0.2))
    assert (1, 0.3) in seen(faint)


@pytest.mark.parametrize("background", [0, 1, 3])
def test_background_is_never_found_and_classes_keep_their_numbers(background: int, tmp_path: Path) -> None:
    scores = scores_of(4)
    scores[0, :, background] = 0.8
    path = save(tmp_path / "m.onnx", [corners_of(), scores], background_class=background)
    model = load(path, labels=["a", "b", "c", "d"])
    _, (found,) = detect(model)
    assert [each for each in [(0, 0.9), (2, 0.6)] if each[0] != background] == seen(found)


def test_nodes_behind_the_plugin_go_and_other_outputs_stay(tmp_path: Path) -> None:
    behind = [helper.make_node("Cast", ["det_classes"], ["classes_float"], to=TensorProto.FLOAT)]
    other = np.full((1, 5, 7), 0.5, np.float32)
    arrays = [corners_of(), scores_of(), other]
    path = save(tmp_path / "m.onnx", arrays, behind=behind, also=["classes_float"], more=["array2"])
    artifact = Artifact.open(path)
    assert [output.name for output in artifact.outputs] == ["boxes", "scores", "array2"]
    assert artifact.changed is not None
    assert artifact.changed.endswith("outputs that came after it are gone: classes_float")
    assert load(path).head.name == "yolo-nas"


def test_weights_in_another_file_are_read(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [corners_of(), scores_of()])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=1000)
    assert seen(detect(load(path))[1][0]) == [(0, 0.9), (2, 0.6)]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_engine_is_built_from_what_remains(precision: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [centers_of(), scores_of()], box_coding=1)
    made = onnx.load_from_string(prepare(path, precision, typed=True).model)
    outputs = [(value.name, value.type.tensor_type.elem_type) for value in made.graph.output]
    assert outputs == [("boxes", TensorProto.FLOAT), ("scores", TensorProto.FLOAT)]
    assert EFFICIENT not in {node.op_type for node in made.graph.node}
    onnx.checker.check_model(made)


def test_inspection_says_what_was_done(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [corners_of(), scores_of()], **THRESHOLDS, class_agnostic=1)
    found = inspect_model(ModelConfig(path=str(path), labels=LABELS))
    assert (found.error, found.head and found.head.name) == (None, "yolo-nas")
    assert found.changed == (
        "its operator EfficientNMS_TRT was cut off: `confidence` and `iou` of the configuration count, not the "
        "thresholds of the export (score 0.25, IoU 0.65); it suppressed across classes, Framelane suppresses within "
        "each"
    )
    assert found.as_dict()["changed"] == found.changed


PER_CLASS = np.repeat(corners_of()[:, :, None], 3, axis=2)
CAN_NOT = [
    (
        [PER_CLASS, scores_of()],
        BATCHED,
        "FILE ends in BatchedNMSDynamic_TRT, and gives each class its own box ([?, 420, 3, 4])",
    ),
    (
        [corners_of(), scores_of(), corners_of()],
        EFFICIENT,
        "FILE ends in EfficientNMS_TRT, and leaves it to that operator to decode boxes from anchors",
    ),
]


@pytest.mark.parametrize(("arrays", "plugin", "text"), CAN_NOT, ids=["a box per class", "anchors"])
def test_what_can_not_be_cut_is_refused_in_a_sentence(
    arrays: list[Array], plugin: str, text: str, tmp_path: Path
) -> None:
    path = save(tmp_path / "m.onnx", arrays, plugin)
    with pytest.raises(ModelError) as caught:
        load(path)
    remedy = "; export the model without suppression (NMS) in the graph"
    assert str(caught.value).replace(str(path), "FILE") == text + remedy


@pytest.mark.parametrize("options", [{"box_coding": "center"}, {"background_class": [1, 2]}])
def test_odd_attributes_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [corners_of(), scores_of()], **options)
    (name,) = options
    with pytest.raises(ModelError, match=rf"and its attributes are no numbers \({name}\); export"):
        load(path)


def test_attributes_may_be_lists_of_one(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [centers_of(), scores_of()], box_coding=[1], score_threshold=[0.25])
    assert seen(detect(load(path))[1][0]) == [(0, 0.9), (2, 0.6)]
    assert "(score 0.25)" in (Artifact.open(path).changed or "")


def test_a_plugin_without_scores_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [corners_of()])
    with pytest.raises(ModelError, match="that operator has no boxes and scores to read"):
        load(path)


def test_boxes_within_0_and_1_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [corners_of() / np.float32(160), scores_of()], BATCHED, isNormalized=1)
    with pytest.raises(ModelError, match=r"holds boxes within 0..1, but the head `yolo-nas` reads pixels"):
        load(path)
