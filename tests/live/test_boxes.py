from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson

from framelane.core.attributes import Attribute, Part
from framelane.live.boxes import boxes_json

from .found import result


def test_boxes_have_pixels_label_and_track() -> None:
    """A class without a label shows as its number, an object that was seen once has no id."""
    assert orjson.loads(boxes_json(result(7, 3))) == {
        "model": "street",
        "size": [320, 240],
        "boxes": [
            [7.0, 0.0, 27.0, 30.0, 0.5, "person", None],
            [7.0, 10.0, 27.0, 40.0, 0.5, "car", 1],
            [7.0, 20.0, 27.0, 50.0, 0.5, "2", 2],
        ],
    }


def test_without_a_tracker_there_are_no_ids() -> None:
    assert orjson.loads(boxes_json(result(7, 2, track=False)))["boxes"][1][6] is None


def test_an_object_in_zones_says_which() -> None:
    found = result(7, 2)
    zones = np.empty(2, np.object_)
    zones[:] = [("yard", "door"), ()]
    inside = replace(found, detections=replace(found.detections, zones=zones))
    first, second = orjson.loads(boxes_json(inside))["boxes"]
    assert (first[7], len(second)) == (["yard", "door"], 7)


def test_an_object_says_what_second_models_say_of_it_after_its_zones() -> None:
    found = result(7, 2)
    corners = (0.0, 0.0, 9.0, 9.0)
    parts = (Part("eye", 0.9, corners), Part("nose", 0.8, corners), Part("eye", 0.7, corners))
    attributes = np.empty(2, np.object_)
    attributes[:] = [
        (Attribute("color", "<b>red", 0.9, 1.0), Attribute("faces", "eye", 0.9, 1.0, parts)),
        (),
    ]
    told = replace(found, detections=replace(found.detections, attributes=attributes))
    first, second = orjson.loads(boxes_json(told))["boxes"]
    assert (first[7:], len(second)) == ([[], [["color", "<b>red"], ["faces", "eye, nose"]]], 7)
