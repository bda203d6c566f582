from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from tests.sinks.examples import YOLOX, objects, result

from framelane.telemetry.objects import MOST_LABELS, OTHER, ObjectCounter, ObjectCounts

if TYPE_CHECKING:
    from framelane.core.frames import ModelInfo, Result


def saw(*class_ids: int, model: ModelInfo = YOLOX) -> Result:
    found = replace(objects(len(class_ids)), class_id=np.array(class_ids, np.int32))
    return replace(result(), model=model, detections=found)


def test_objects_are_counted_per_frame_and_label() -> None:
    counter = ObjectCounter()
    for found in (saw(0, 0, 2), saw(0), saw(), saw()):
        counter.saw(found)
    assert counter.counts().per_frame_since(None) == {"person": 0.75, "car": 0.25}


def test_only_what_came_since_counts() -> None:
    counter = ObjectCounter()
    counter.saw(saw(0, 0, 0))
    before = counter.counts()
    assert before.per_frame_since(before) is None
    counter.saw(saw(2))
    assert counter.counts().per_frame_since(before) == {"car": 1.0}


def test_a_frame_that_two_models_look_at_counts_once() -> None:
    counter = ObjectCounter()
    faces = replace(YOLOX, name="faces", labels=("face",))
    for _ in range(4):
        counter.saw(saw(0))
        counter.saw(saw(0, 0, model=faces))
    assert counter.counts().per_frame_since(None) == {"person": 1.0, "face": 2.0}


def test_labels_beyond_the_most_are_counted_together() -> None:
    counter = ObjectCounter()
    many = replace(YOLOX, labels=tuple(f"label-{number}" for number in range(1000)))
    for number in range(1000):
        counter.saw(saw(number, model=many))
    counts = counter.counts()
    assert len(counts.found) == MOST_LABELS + 1
    assert counts.found[OTHER] == 1000 - MOST_LABELS
    assert len(pickle.dumps(counts)) < 4096


def test_the_counts_of_two_processes_add_up() -> None:
    first = ObjectCounts({"yolox": 3}, {"person": 2})
    second = ObjectCounts({"yolox": 1}, {"person": 1, "car": 4})
    assert first.plus(second) == ObjectCounts({"yolox": 4}, {"person": 3, "car": 4})
