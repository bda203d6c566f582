"""Every head, from an ONNX file to boxes in source pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import CAR_IN_FRONT, PERSON, SCENE, WEAKER_PERSON, detect, load, seen

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

LAYOUTS = {
    "yolox": tiny_models.yolox_raw,
    "yolox-decoded": tiny_models.decoded_rows,
    "yolov5": lambda boxes: tiny_models.decoded_rows(boxes, anchors=3),
    "yolov8": tiny_models.yolov8,
    "end2end": tiny_models.end2end,
    "rtdetr": tiny_models.rtdetr,
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("head", LAYOUTS)
def test_every_head_is_recognised_and_finds_the_boxes(head: str, dtype: str, tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [LAYOUTS[head](SCENE)], dtype=dtype)
    model = load(path)
    assert head == model.head.name
    letterbox, batch = detect(model, batch=3)
    assert len(batch) == 3
    for detections in batch:
        expected = (
            [PERSON, WEAKER_PERSON, CAR_IN_FRONT] if head in {"end2end", "rtdetr"} else [PERSON, CAR_IN_FRONT]
        )
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
    ("head", "color", "scale", "placement"),
    [
        ("yolox", "bgr", 1, "topleft"),
        ("yolox-decoded", "bgr", 1, "topleft"),
        ("yolov5", "rgb", 1 / 255, "center"),
        ("yolov8", "rgb", 1 / 255, "center"),
        ("end2end", "rgb", 1 / 255, "center"),
        ("rtdetr", "rgb", 1 / 255, "stretch"),
    ],
)
def test_a_head_decides_how_pictures_are_prepared(
    head: str, color: str, scale: float, placement: str, tmp_path: Path
) -> None:
    spec = load(tiny_models.save(tmp_path / "m.onnx", [LAYOUTS[head](SCENE)])).input
    assert (160, 128, color, scale, placement, 114, "float32") == (
        spec.width, spec.height, spec.color, spec.scale, spec.placement, spec.pad, spec.dtype,
    )  # fmt: skip


def test_a_model_of_bytes_gets_them_unscaled(tmp_path: Path) -> None:
    model = load(tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8(SCENE)], dtype="uint8"))
    assert (model.input.dtype, model.input.scale) == ("uint8", 1.0)
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


KNOWN = (
    "detr labels [N, K], boxes [N, K, 4] in pixels and scores [N, K]; "
    "nms a count [N, 1], boxes [N, K, 4] in pixels, scores [N, K] and classes [N, K]; "
    "rf-detr dets [N, Q, 4] in 0..1 and labels [N, Q, classes+1] as logits; "
    "yolo-nas [N, 1 a cell, 4] corners in pixels and [N, 1 a cell, classes]; "
    "yunet class and objectness [N, A, 1], boxes [N, A, 4] and points [N, A, 10] for strides 8, 16, 32; "
    "end2end [N, K, 6], x1 y1 x2 y2 score class in pixels; rtdetr [N, K, 6], cx cy w h in 0..1, score, class; "
    "yolov8 [N, 4+classes, anchors]; yolov5 [N, 3 a cell, 5+classes]; "
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
                "FILE: output0 [1, 3, 16, 20, 8] is a grid whose boxes are not decoded; "
                "export the model with its detection layer (YOLOv7: --grid)"
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
            {"task": "classify"},
            (
                "FILE gives output0 [1, 7, 420] for a 160x128 picture, which fits no head that Framelane knows for "
                "the task `classify`: classifier [N, classes] and nothing else"
            ),
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
