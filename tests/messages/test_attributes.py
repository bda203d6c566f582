"""What second models say, in messages and on disk."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import orjson
import pytest
from tests.events.examples import PERSON, event
from tests.sinks.examples import ORIGIN, WALL_S, YOLOX, checked, frame, objects

from framelane.core.attributes import Attribute, Part, attribute_of
from framelane.core.frames import Result
from framelane.messages.detections import Encoding, detections_message
from framelane.messages.events import event_message

COLOR = Attribute("color", "red", 0.98768, WALL_S)
FACES = Attribute(
    "faces",
    "face",
    0.75,
    WALL_S,
    (
        Part("face", 0.75, (10.04, 20.16, 30.0, 40.0), ((12.04, 22.0, 1.0),)),
        Part("face", 0.5, (50.0, 20.0, 70.0, 40.0)),
    ),
)
EXPECTED = {
    "color": {"label": "red", "confidence": 0.9877, "at": "2026-11-22T09:00:00.123456Z"},
    "faces": {
        "label": "face",
        "confidence": 0.75,
        "at": "2026-11-22T09:00:00.123456Z",
        "parts": [
            {"label": "face", "confidence": 0.75, "box": [10.0, 20.2, 30.0, 40.0], "keypoints": [[12.0, 22.0, 1.0]]},
            {"label": "face", "confidence": 0.5, "box": [50.0, 20.0, 70.0, 40.0]},
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_detections_say_what_is_known_of_an_object(encoding: Encoding) -> None:
    attributes = np.empty(2, np.object_)
    attributes[0], attributes[1] = (COLOR, FACES), ()
    found = replace(objects(2), attributes=attributes)
    made = detections_message(
        ORIGIN, Result(frame(), YOLOX, found, 0, 0), seq=1, dropped=0, total_s=0, encoding=encoding
    )
    first, second = checked(made)["detections"]
    assert first["attributes"] == EXPECTED
    assert "attributes" not in second


def test_events_say_what_is_known_of_their_object() -> None:
    known = event(object=replace(PERSON, attributes=(COLOR, FACES)))
    assert checked(event_message("gate-01", known, None))["object"]["attributes"] == EXPECTED
    assert "attributes" not in checked(event_message("gate-01", event(), None))["object"]


@pytest.mark.parametrize("attribute", [COLOR, FACES])
def test_attribute_is_the_same_when_it_was_stored(attribute: Attribute) -> None:
    assert attribute_of(orjson.loads(orjson.dumps(asdict(attribute)))) == attribute
