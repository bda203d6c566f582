"""Rules applied to true objects."""

from __future__ import annotations

from typing import Any

import numpy as np

from framelane.analytics.rules.ruleset import RuleSet
from framelane.config.sections.rules import EventsConfig, LineConfig, ZoneConfig
from framelane.measure.rules.motfile import TrueFrame
from framelane.measure.rules.truth import FoundFrame, TrueEvents, hota_by_label

LINE = LineConfig.model_validate({"points": [[0.5, 0.0], [0.5, 1.0]]})
ZONE = ZoneConfig.model_validate({"polygon": [[0.6, 0], [0.8, 0], [0.8, 1], [0.6, 1]]})
RULES = {"m": RuleSet.of({"mid": LINE}, {"strip": ZONE}, EventsConfig(), ("person", "car"))}


def truth(paths: dict[int, list[float]], label: str = "person") -> dict[int, TrueFrame]:
    """Boxes of 20 x 40 pixels at these x in frames 1, 2, ... of 200 x 100 pixels."""
    frames = {}
    for number in range(1, 1 + max(map(len, paths.values()))):
        there = {track: xs[number - 1] for track, xs in paths.items() if number <= len(xs)}
        boxes = [[x - 10, 30, x + 10, 70] for x in there.values()]
        frames[number] = TrueFrame(np.array(list(there)), np.array(boxes, np.float32), (label,) * len(there))
    return frames


def events(true: dict[int, TrueFrame], fps: float = 5.0, frames: int = 0) -> list[tuple[Any, ...]]:
    run = TrueEvents(RULES, true)
    for number in range(1, 1 + (frames or max(true))):
        run.frame(number, (number - 1) / fps, (200, 100))
    found = [each for each in run.events if each.kind not in ("new", "update", "end")]
    return [(each.kind, each.object.id.split("/")[0], each.direction, round(each.at, 2)) for each in found]


def test_objects_keep_their_identity_however_far_they_jump() -> None:
    # 60 and 80 pixels from frame to frame, three and four widths; and two that swap places.
    true = truth({4: [20, 80, 160, 190], 9: [190, 160, 80, 20]})
    assert events(true, frames=4) == [
        ("line", "4", "left", 0.25),
        ("line", "9", "right", 0.35),
    ]


def test_zones_count_true_objects_that_leave_the_picture() -> None:
    true = truth({4: [90, 122, 130, 138, 146, 150]})
    assert events(true, frames=20) == [
        ("line", "4", "left", 0.06),
        ("zone_enter", "4", None, 0.2),
        ("zone_exit", "4", None, 1.0),
    ]


def test_objects_that_no_model_finds_make_no_events() -> None:
    assert events(truth({4: [20, 80, 160, 190]}, "dog")) == []


def test_hota_is_told_by_label_over_the_inferred_frames() -> None:
    true = truth({4: [20, 80, 160, 190]}, "car")
    found = [FoundFrame(number, true[number].ids, true[number].xyxy, ("car",)) for number in (1, 3)]
    assert round(hota_by_label(true, found)["car"].hota, 6) == 1.0
    persons = [FoundFrame(each.number, each.ids, each.xyxy, ("person",)) for each in found]
    assert hota_by_label(true, persons)["car"].hota == 0.0
