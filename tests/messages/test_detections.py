from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.sinks.examples import ORIGIN, YOLOX, checked, detections, frame, objects, result

from framelane.core.frames import Detections, Result
from framelane.messages.detections import Encoding, as_replayed, detections_message, json_payload
from framelane.messages.timestamps import timestamp


def test_detections_message_has_the_shape_of_the_contract() -> None:
    made = detections_message(ORIGIN, result(count=2), seq=1234, dropped=3, total_s=0.03456)

    assert (made.kind, made.stream, made.retain) == ("detections", "lobby", False)
    assert checked(made) == {
        "schema": "framelane.detections/1",
        "node": "gate-01",
        "stream": "lobby",
        "run": "run-1",
        "seq": 1234,
        "captured_at": "2026-11-22T09:00:00.123456Z",
        "clock": "receive",
        "pts": 12.345,
        "width": 1920,
        "height": 1080,
        "model": {"name": "yolox", "hash": "695e750a5d57", "backend": "onnxruntime"},
        "detections": [
            {
                "label": "person",
                "class_id": 0,
                "confidence": 0.9876,
                "box": [0.1, 1.1, 20.6, 41.1],
                "box_norm": [0.00006, 0.00104, 0.01072, 0.03808],
            },
            {
                "label": "bicycle",
                "class_id": 1,
                "confidence": 0.4,
                "box": [10.1, 11.1, 30.6, 51.1],
                "box_norm": [0.00527, 0.0103, 0.01593, 0.04734],
            },
        ],
        "dropped": 3,
        "latency_ms": {"queue": 1.2, "infer": 13.4, "total": 34.6},
        "replayed": False,
    }


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("count", [0, 1, 10])
def test_detections_message_is_turned_to_replayed_without_decoding_it(encoding: Encoding, count: int) -> None:
    fresh = detections(1, count=count, encoding=encoding)
    late = as_replayed(fresh)
    assert {**checked(fresh), "replayed": True} == checked(late)
    assert list(checked(late))[-1] == "replayed"
    assert as_replayed(late) == late
    with pytest.raises(ValueError, match="no message that says"):
        as_replayed(replace(fresh, payload=fresh.payload[:-1]))


@pytest.mark.parametrize("count", [0, 1, 300])
def test_detections_message_says_the_same_in_either_encoding(count: int) -> None:
    tracked = Result(frame(), YOLOX, objects(count, track=True), 0.0, 0.0)
    as_json, as_msgpack = (
        detections_message(ORIGIN, tracked, seq=7, dropped=2, total_s=0.03, encoding=encoding)
        for encoding in ("json", "msgpack")
    )
    assert (as_json.encoding, as_msgpack.encoding) == ("json", "msgpack")
    assert repr(checked(as_json)) == repr(checked(as_msgpack))  # which 1 == 1.0 would not tell
    assert json_payload(as_msgpack) == json_payload(as_json) == as_json.payload


@pytest.mark.parametrize("count", [0, 1, 300])
def test_detections_message_fits_its_schema_when_objects_are_tracked(count: int) -> None:
    tracked = Result(frame(), YOLOX, objects(count, track=True), 0.0, 0.0)
    body = checked(detections_message(ORIGIN, tracked, seq=1, dropped=0, total_s=0.0))
    assert list(range(17, 17 + count)) == [each["track_id"] for each in body["detections"]]


def test_detections_message_leaves_out_what_no_number_can_tell() -> None:
    found = objects(4)
    found.xyxy[1, 2] = np.inf
    found.confidence[3] = np.nan
    body = checked(
        detections_message(ORIGIN, Result(frame(), YOLOX, found, 0, 0), seq=1, dropped=0, total_s=0)
    )
    assert [each["class_id"] for each in body["detections"]] == [0, 2]


def test_detections_message_keeps_boxes_in_the_picture() -> None:
    wide = Detections(
        np.array([[-3, -2, 1925, 1081]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32)
    )
    body = checked(
        detections_message(ORIGIN, Result(frame(), YOLOX, wide, 0, 0), seq=1, dropped=0, total_s=0)
    )
    assert (
        body["detections"][0]["box"],
        body["detections"][0]["box_norm"],
    ) == ([0, 0, 1920, 1080], [0, 0, 1, 1])


def test_detections_message_names_a_class_by_number_when_the_model_has_no_label_for_it() -> None:
    found = Detections(np.ones((1, 4), np.float32), np.ones(1, np.float32), np.array([7], np.int32))
    body = checked(
        detections_message(ORIGIN, Result(frame(), YOLOX, found, 0, 0), seq=1, dropped=0, total_s=0)
    )
    assert body["detections"][0]["label"] == "7"


@pytest.mark.parametrize(
    ("unix_s", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_795_338_000.0, "2026-11-22T09:00:00.000000Z"),
        (1_795_338_000.5, "2026-11-22T09:00:00.500000Z"),
    ],
)
def test_timestamp_always_has_microseconds(unix_s: float, text: str) -> None:
    assert text == timestamp(unix_s)
