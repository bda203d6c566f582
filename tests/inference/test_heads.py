"""Every head, from an ONNX file to boxes in source pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.inference import tiny_models
from tests.inference.tiny_models import Box

from framelane.config.schema import ModelConfig
from framelane.core.errors import ModelError
from framelane.inference.model import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.inference.class_filter import ClassFilter
    from framelane.inference.letterbox import Letterbox
    from framelane.inference.model import Model

    Array = NDArray[np.float32]


SOURCE_WH = (1280, 720)
LABELS = ["person", "bicycle", "car"]
PERSON = Box((20, 30, 60, 90), 0, 0.9)
WEAKER_PERSON = Box((22, 31, 61, 92), 0, 0.7)
CAR_IN_FRONT = Box((21, 30, 62, 90), 2, 0.6)
FAINT_BICYCLE = Box((90, 40, 130, 80), 1, 0.3)
SCENE = [WEAKER_PERSON, PERSON, CAR_IN_FRONT, FAINT_BICYCLE]

LAYOUTS = {
    "yolox": tiny_models.yolox_raw,
    "yolox-decoded": tiny_models.decoded_rows,
    "yolov5": lambda boxes: tiny_models.decoded_rows(boxes, anchors=3),
    "yolov8": tiny_models.yolov8,
    "end2end": tiny_models.end2end,
}


def load(path: Path, **options: Any) -> Model:
    return load_model("tiny", ModelConfig(path=str(path), **{"labels": LABELS, **options}))


def detect(
    model: Model, wanted: ClassFilter | None = None, batch: int = 1
) -> tuple[Letterbox, list[Detections]]:
    spec = model.input
    letterbox = spec.letterbox(SOURCE_WH)
    filters = [wanted or model.filter()] * batch
    return letterbox, model.detect(np.zeros(spec.shape(batch), spec.dtype), [letterbox] * batch, filters)


def seen(detections: Detections) -> list[tuple[int, float]]:
    """What was found, as (class, confidence)."""
    return [
        (int(class_id), round(float(confidence), 2))
        for class_id, confidence in zip(detections.class_id, detections.confidence, strict=True)
    ]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("head", LAYOUTS)
def test_every_head_is_recognised_and_finds_the_boxes(head: str, dtype: str, tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [LAYOUTS[head](SCENE)], dtype=dtype)
    model = load(path)
    assert head == model.head.name
    letterbox, batch = detect(model, batch=3)
    assert len(batch) == 3
    for detections in batch:
        expected = [PERSON, WEAKER_PERSON, CAR_IN_FRONT] if head == "end2end" else [PERSON, CAR_IN_FRONT]
        assert [(box.class_id, box.score) for box in expected] == seen(detections)
        corners = letterbox.to_source(np.array([box.xyxy for box in expected], np.float32))
        np.testing.assert_allclose(detections.xyxy, corners, atol=1.5 if dtype == "float16" else 0.05)
        dtypes = (detections.xyxy.dtype, detections.confidence.dtype, detections.class_id.dtype)
        assert (np.float32, np.float32, np.int32) == dtypes


@pytest.mark.parametrize("head", LAYOUTS)
def test_every_head_finds_only_what_the_stream_wants(head: str, tmp_path: Path) -> None:
    model = load(tiny_models.save(tmp_path / "m.onnx", [LAYOUTS[head](SCENE)]))
    wanted = model.filter(["car", "bicycle"], {"bicycle": 0.25})
    assert seen(detect(model, wanted)[1][0]) == [(2, 0.6), (1, 0.3)]
    nothing = model.filter(["zebra"])
    assert seen(detect(model, nothing)[1][0]) == []
    assert seen(detect(model, model.filter(confidence=0.95))[1][0]) == []


@pytest.mark.parametrize("head", LAYOUTS)
def test_every_head_finds_nothing_in_an_empty_scene(head: str, tmp_path: Path) -> None:
    model = load(tiny_models.save(tmp_path / "m.onnx", [LAYOUTS[head]([])]))
    assert head == model.head.name
    (detections,) = detect(model)[1]
    assert (detections.xyxy.shape, len(detections)) == ((0, 4), 0)


@pytest.mark.parametrize("head", LAYOUTS)
def test_every_head_gives_the_best_when_there_are_more_than_max_det(head: str, tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [LAYOUTS[head](SCENE)])
    assert seen(detect(load(path, max_det=1))[1][0]) == [(0, 0.9)]


@pytest.mark.parametrize(
    ("head", "colour", "scale", "placement"),
    [
        ("yolox", "bgr", 1, "topleft"),
        ("yolox-decoded", "bgr", 1, "topleft"),
        ("yolov5", "rgb", 1 / 255, "center"),
        ("yolov8", "rgb", 1 / 255, "center"),
        ("end2end", "rgb", 1 / 255, "center"),
    ],
)
def test_a_head_decides_how_pictures_are_prepared(
    head: str, colour: str, scale: float, placement: str, tmp_path: Path
) -> None:
    spec = load(tiny_models.save(tmp_path / "m.onnx", [LAYOUTS[head](SCENE)])).input
    assert (160, 128, colour, scale, placement, 114, "float32") == (
        spec.width, spec.height, spec.colour, spec.scale, spec.placement, spec.pad, spec.dtype,
    )  # fmt: skip


def test_a_model_of_bytes_gets_them_unscaled(tmp_path: Path) -> None:
    model = load(tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8(SCENE)], dtype="uint8"))
    assert (model.input.dtype, model.input.scale) == ("uint8", 1.0)
    assert seen(detect(model)[1][0]) == [(0, 0.9), (2, 0.6)]


def test_yolov6_is_read_as_yolov5(tmp_path: Path) -> None:
    model = load(tiny_models.save(tmp_path / "m.onnx", [tiny_models.decoded_rows(SCENE, objectness=1)]))
    assert (model.head.name, model.input.colour) == ("yolov5", "rgb")
    assert seen(detect(model)[1][0]) == [(0, 0.9), (2, 0.6)]


@pytest.mark.parametrize("head", ["yolox", "yolox-decoded", "yolov5", "yolov8"])
def test_a_model_of_one_class_is_not_taken_for_end2end(head: str, tmp_path: Path) -> None:
    one = {
        "yolox": lambda boxes: tiny_models.yolox_raw(boxes, classes=1),
        "yolox-decoded": lambda boxes: tiny_models.decoded_rows(boxes, classes=1),
        "yolov5": lambda boxes: tiny_models.decoded_rows(boxes, classes=1, anchors=3),
        "yolov8": lambda boxes: tiny_models.yolov8(boxes, classes=1),
    }
    path = tiny_models.save(tmp_path / "m.onnx", [one[head]([PERSON])])
    model = load(path, labels=["person"])
    assert head == model.head.name
    assert seen(detect(model)[1][0]) == [(0, 0.9)]


def test_the_detection_output_is_found_among_others(tmp_path: Path) -> None:
    feature_maps = np.zeros((1, 3, 16, 20, 8), np.float32)
    path = tiny_models.save(tmp_path / "m.onnx", [feature_maps, tiny_models.decoded_rows(SCENE, anchors=3)])
    model = load(path)
    assert model.head.name == "yolov5"
    assert seen(detect(model)[1][0]) == [(0, 0.9), (2, 0.6)]


def test_end2end_passes_over_classes_beyond_the_labels(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.end2end([PERSON, Box((0, 0, 9, 9), 7, 0.8)])])
    assert seen(detect(load(path))[1][0]) == [(0, 0.9)]


def test_shapes_that_the_file_leaves_open_are_seen_by_running_it(tmp_path: Path) -> None:
    path = tiny_models.save(
        tmp_path / "m.onnx",
        [tiny_models.yolov8(SCENE)],
        shape=["batch", 3, "height", "width"],
        unnamed_outputs=True,
        metadata={**tiny_models.NAMES, "imgsz": "[128, 160]", "task": "detect", "stride": "32"},
    )
    model = load(path, labels="auto")
    assert (model.info.labels, model.input.size_wh) == (("person", "bicycle", "car"), (160, 128))
    assert seen(detect(model)[1][0]) == [(0, 0.9), (2, 0.6)]
    assert load(path, labels="auto", size=[320, 256]).input.size_wh == (320, 256)


def test_a_forced_head_is_taken_as_the_configuration_says(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.decoded_rows(SCENE)])
    assert load(path).head.name == "yolox-decoded"
    assert load(path, head="yolov5").head.name == "yolov5"


KNOWN = (
    "end2end [N, K, 6]; yolov8 [N, 4+classes, anchors]; yolov5 [N, 3 a cell, 5+classes]; "
    "yolox [N, 1 a cell, 5+classes]; yolox-decoded [N, 1 a cell, 5+classes] in pixels"
)


@pytest.mark.parametrize(
    ("output", "options", "metadata", "message"),
    [
        (
            np.zeros((1, 3, 16, 20, 8), np.float32),
            {},
            {},
            (
                "FILE gives output0 [1, 3, 16, 20, 8] for a 160x128 picture, "
                f"which fits no head that Framelane knows: {KNOWN}"
            ),
        ),
        (
            np.zeros((1, 301, 85), np.float32),
            {},
            {},
            (
                "FILE gives output0 [1, 301, 85] for a 160x128 picture, which fits no head that Framelane "
                f"knows: {KNOWN}"
            ),
        ),
        (
            tiny_models.yolov8(SCENE),
            {"head": "yolox"},
            {},
            (
                "FILE gives output0 [1, 7, 420] for a 160x128 picture, which fits not `head: yolox`: "
                "yolox [N, 1 a cell, 5+classes]; set `head: auto` or another one"
            ),
        ),
        (
            tiny_models.yolov8(SCENE),
            {"head": "yolov5"},
            {},
            (
                "FILE gives output0 [1, 7, 420] for a 160x128 picture, which fits not `head: yolov5`: "
                "yolov5 [N, 3 a cell, 5+classes]; set `head: auto` or another one"
            ),
        ),
        (
            tiny_models.yolov8(SCENE),
            {},
            {"task": "segment"},
            "FILE is a model for the task `segment`; Framelane runs the task `detect`",
        ),
        (
            tiny_models.yolov8(SCENE),
            {"labels": "coco"},
            {},
            (
                "FILE has 3 classes, but `labels: coco` names 80; "
                "set `labels` to `auto`, a list or a file of 3 names"
            ),
        ),
        (
            tiny_models.yolov8(SCENE),
            {"size": [640, 640]},
            {},
            (
                "FILE takes images float32 [batch, 3, 128, 160]; "
                "`size: [640, 640]` can't change what the file fixes"
            ),
        ),
    ],
)
def test_a_model_is_refused_with_its_shapes(
    output: Array, options: dict[str, Any], metadata: dict[str, str], message: str, tmp_path: Path
) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [output], metadata=metadata)
    with pytest.raises(ModelError) as caught:
        load(path, **options)
    assert message == str(caught.value).replace(str(path), "FILE")


def test_a_model_of_open_size_is_refused_when_nothing_names_one(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8([])], shape=["n", 3, "h", "w"])
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value).replace(str(path), "FILE") == (
        "FILE takes images float32 [n, 3, h, w] and leaves the size open; "
        "set `size: [width, height]` to what it was trained on"
    )
