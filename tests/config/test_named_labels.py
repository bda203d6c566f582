"""Every option that names a label is found, with the place where it is written."""

from __future__ import annotations

from framelane.config.named_labels import labels_of, listed_labels
from framelane.config.sections.stream import StreamConfig, StreamOptions

POINTS = [[0.1, 0.7], [0.9, 0.7]]
POLYGON = [[0.2, 0.5], [0.8, 0.5], [0.9, 1.0]]


def test_labels_of_a_stream_come_with_their_key_paths() -> None:
    stream = StreamConfig.model_validate(
        {
            "id": "lobby",
            "url": "rtsp://h/1",
            "track": True,
            "classes": ["person", "car"],
            "confidence": {"car": 0.7},
            "lines": {"street": {"points": POINTS, "classes": ["bus"]}},
            "zones": {"yard": {"polygon": POLYGON, "classes": ["dog", "cat"]}, "all": {"polygon": POLYGON}},
        }
    )
    assert list(labels_of(stream)) == [
        (("classes", 0), "person"),
        (("classes", 1), "car"),
        (("confidence", "car"), "car"),
        (("lines", "street", "classes", 0), "bus"),
        (("zones", "yard", "classes", 0), "dog"),
        (("zones", "yard", "classes", 1), "cat"),
    ]


def test_defaults_have_no_rules_and_one_threshold_names_no_label() -> None:
    assert list(labels_of(StreamOptions.model_validate({"classes": ["car"], "confidence": 0.5}))) == [
        (("classes", 0), "car")
    ]


def test_no_list_names_no_label() -> None:
    assert list(listed_labels(None)) == []
