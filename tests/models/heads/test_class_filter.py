"""Classes and thresholds of a stream."""

from __future__ import annotations

import numpy as np
import pytest

from framelane.config.named_labels import labels_of
from framelane.config.sections.schema import Config
from framelane.config.sections.stream import StreamOptions
from framelane.models.heads.class_filter import ClassFilter, label_findings, unknown_labels
from framelane.models.labels import COCO

LABELS = ("person", "bicycle", "car")
INF = float("inf")


@pytest.mark.parametrize(
    ("classes", "confidence", "thresholds", "floor", "wanted"),
    [
        (None, None, [0.5, 0.5, 0.5], 0.5, None),
        (None, 0.25, [0.25, 0.25, 0.25], 0.25, None),
        (["car"], None, [INF, INF, 0.5], 0.5, [2]),
        (["car", "person"], {"person": 0.75}, [0.75, INF, 0.5], 0.5, [0, 2]),
        (None, {"bicycle": 0.125}, [0.5, 0.125, 0.5], 0.125, None),
        (["person"], {"car": 0.125}, [0.5, INF, INF], 0.5, [0]),
        (["zebra"], None, [INF, INF, INF], INF, []),
        (None, 0, [0, 0, 0], 0, None),
    ],
)
def test_build_makes_thresholds_by_class(
    classes: list[str] | None,
    confidence: float | dict[str, float] | None,
    thresholds: list[float],
    floor: float,
    wanted: list[int] | None,
) -> None:
    made = ClassFilter.build(LABELS, classes, confidence, 0.5)
    assert thresholds == made.thresholds.tolist()
    assert made.thresholds.dtype == np.float32
    assert floor == made.floor
    assert wanted == (None if made.wanted is None else made.wanted.tolist())


def test_build_wants_every_class_of_a_name() -> None:
    wanted = ClassFilter.build(("a", "b", "a"), ["a"], None, 0.5).wanted
    assert wanted is not None
    assert wanted.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("models", "classes", "confidence", "findings"),
    [
        ({"yolo": COCO}, ["person", "traffic light"], {"car": 0.5}, []),
        ({"yolo": COCO}, None, 0.5, []),
        (
            {"yolo": COCO},
            ["person", "persn"],
            None,
            ["streams[2].classes[1]: unknown label `persn`; did you mean `person`?"],
        ),
        (
            {"yolo": LABELS},
            ["zebra"],
            {"Car": 0.5, "traffic light": 0.3},
            [
                "streams[2].classes[0]: unknown label `zebra`; yolo knows person, bicycle and car",
                "streams[2].confidence.Car: unknown label `Car`; did you mean `car`?",
                (
                    'streams[2].confidence["traffic light"]: unknown label `traffic light`; '
                    "yolo knows person, bicycle and car"
                ),
            ],
        ),
        ({"yolo": LABELS, "faces": ("face",)}, ["face", "car"], None, []),
        (
            {"yolo": COCO},
            ["qqq"],
            None,
            [
                (
                    "streams[2].classes[0]: unknown label `qqq`; "
                    "yolo knows person, bicycle, car, motorcycle, airplane, "
                    "bus, train, truck, boat, traffic light ..."
                )
            ],
        ),
    ],
)
def test_label_findings_name_what_no_model_knows(
    models: dict[str, tuple[str, ...]],
    classes: list[str] | None,
    confidence: float | dict[str, float] | None,
    findings: list[str],
) -> None:
    named = labels_of(StreamOptions(classes=classes, confidence=confidence))
    assert findings == [str(found) for found in label_findings("streams[2]", models, named)]


def test_unknown_labels_include_those_of_rules() -> None:
    points = [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    stream = {
        "id": "gate",
        "url": "rtsp://h/1",
        "model": "yolo",
        "track": True,
        "lines": {"street": {"points": points, "classes": ["person", "zebra"]}},
        "zones": {"yard": {"polygon": points, "classes": ["Car"]}},
    }
    streams = [stream, {**stream, "id": "off", "enabled": False}]
    config = Config.model_validate({"models": {"yolo": {"path": "m.onnx"}}, "streams": streams})
    assert [str(found) for found in unknown_labels(config, {"yolo": LABELS})] == [
        "streams[0].lines.street.classes[1]: unknown label `zebra`; yolo knows person, bicycle and car",
        "streams[0].zones.yard.classes[0]: unknown label `Car`; did you mean `car`?",
    ]
    assert unknown_labels(config, {}) == []
