"""What is remembered of an object that a second model looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.sinks.examples import frame

from framelane.core.attributes import Attribute
from framelane.core.frames import Detections, ModelInfo, Result
from framelane.pipeline.seen_object import SeenObject
from framelane.telemetry.crop_counts import CropMeter

COLOR = ModelInfo("color", "0" * 12, "test", ("red", "blue"))


def answer(*found: tuple[int, float], boxes: Any = None, keypoints: Any = None) -> Result:
    xyxy = np.array(boxes if boxes is not None else [[0, 0, 9, 9]] * len(found), np.float32).reshape(-1, 4)
    points = None if keypoints is None else np.array(keypoints, np.float32)
    confidence = np.array([each for _, each in found], np.float32)
    class_id = np.array([each for each, _ in found], np.int32)
    return Result(frame(0), COLOR, Detections(xyxy, confidence, class_id, keypoints=points), 0.0, 0.0)


def seen() -> SeenObject:
    return SeenObject("lobby", 7, CropMeter())


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([(0, 0.75)], ("red", 0.75, 0.0)),
        ([(0, 0.75), (0, 0.5)], ("red", 0.5, 1.0)),
        ([(0, 0.75), (1, 0.5)], ("red", 0.75, 0.0)),
        ([(0, 0.5), (1, 0.75)], ("blue", 0.75, 1.0)),
        ([(0, 1.0)] * 9 + [(1, 1.0)] * 3, ("red", 1.0, 8.0)),
        ([(0, 1.0)] * 9 + [(1, 1.0)] * 4, ("blue", 1.0, 12.0)),
    ],
    ids=["first", "newest of the same", "weaker", "stronger", "three against many", "four against many"],
)
def test_classifiers_answers_vote(
    answers: list[tuple[int, float]], expected: tuple[str, float, float]
) -> None:
    each = seen()
    for at, said in enumerate(answers):
        each.classified(answer(said), float(at))
    assert each.attribute == Attribute("color", *expected)


def test_answer_without_a_class_changes_nothing() -> None:
    each = seen()
    each.classified(answer(), 1.0)
    assert each.attribute is None
    each.classified(answer((0, 0.75)), 2.0)
    each.classified(answer(), 3.0)
    assert each.attribute == Attribute("color", "red", 0.75, 2.0)


def test_detectors_parts_are_placed_in_the_frame() -> None:
    each = seen()
    found = answer(
        (1, 0.75), (0, 0.5), boxes=[[1, 2, 3, 4], [5, 6, 7, 8]], keypoints=[[[1, 2, 0.5]], [[9, 9, 1]]]
    )
    each.searched(found, 5.0, (100, 200))
    assert each.attribute is not None
    assert (each.attribute.label, each.attribute.confidence, each.attribute.at) == ("blue", 0.75, 5.0)
    parts = each.attribute.parts
    assert parts is not None
    assert [(part.label, part.xyxy, part.keypoints) for part in parts] == [
        ("blue", (101, 202, 103, 204), ((101, 202, 0.5),)),
        ("red", (105, 206, 107, 208), ((109, 209, 1.0),)),
    ]


def test_detectors_newest_answer_with_parts_counts() -> None:
    each = seen()
    each.searched(answer((1, 0.75)), 1.0, (0, 0))
    each.searched(answer((0, 0.5)), 2.0, (0, 0))
    each.searched(answer(), 3.0, (0, 0))
    assert each.attribute is not None
    assert (each.attribute.label, each.attribute.at) == ("red", 2.0)


def test_only_the_best_parts_are_told() -> None:
    each = seen()
    each.searched(answer(*((0, 0.9 - number / 100) for number in range(30))), 1.0, (0, 0))
    assert each.attribute is not None
    assert each.attribute.parts is not None
    told = [round(part.confidence, 2) for part in each.attribute.parts]
    assert told == [round(0.9 - number / 100, 2) for number in range(16)]


def test_points_that_overflowed_are_nought() -> None:
    each = seen()
    each.searched(answer((0, 0.5), keypoints=[[[np.inf, 2, 0.5], [3, 4, 0.5]]]), 1.0, (10, 10))
    assert each.attribute is not None
    assert each.attribute.parts is not None
    assert each.attribute.parts[0].keypoints == ((0, 0, 0), (13, 14, 0.5))


def test_turn_that_waited_unseen_counts_from_its_end() -> None:
    each = seen()
    each.see(at_s=10.0, now_s=100.0)
    each.end_turn(now_s=101.5)
    assert each.looked_s == 11.5


def test_other_parts_are_news_in_whatever_order_and_place_they_come() -> None:
    each, boxes = seen(), [[0, 0, 9, 9], [10, 10, 19, 19]]
    each.searched(answer((0, 0.9), (1, 0.8), boxes=boxes), 1.0, (0, 0))
    assert (each.is_news, each.may_tell(1.0)) == (True, True)
    each.tell(1.0)
    each.searched(answer((1, 0.9), (0, 0.8), boxes=boxes), 2.0, (5, 5))
    assert not each.is_news
    each.searched(answer((1, 0.9)), 3.0, (5, 5))
    assert (each.is_news, each.may_tell(5.5), each.may_tell(6.0)) == (True, False, True)
