"""What is said about a clip."""

from __future__ import annotations

from dataclasses import replace

from framelane.config.sections.stream import StreamConfig
from framelane.core.events import Event, TrackedObject
from framelane.measure.hota import Hota
from framelane.measure.report import to_json
from framelane.measure.rules.counts import count_rules
from framelane.measure.rules.report import EventLines, RulesReport, event_dict

WALKER = TrackedObject(
    "test/gate/run/17", 17, "person", 0.8, (1, 2, 3, 4), 100, 50, 60.0, stationary=False, zones=()
)
LINE = Event("gate", "run", "m", "line", WALKER, 61.254, "media", 1, "street", "left")
VISIT = replace(LINE, kind="zone_exit", rule="street", direction=None, at=75.5, since=62.25)
END = replace(LINE, kind="end", rule=None, direction=None, at=76.0, reason="lost")
CAR = replace(LINE, object=replace(WALKER, id="test/gate/run/other/3", label="car"), direction="right")
GATE = StreamConfig.model_validate(
    {
        "id": "gate",
        "url": "x.mp4",
        "lines": {"street": {"points": [[0, 0], [1, 1]]}},
        "zones": {
            "street": {"polygon": [[0, 0], [1, 0], [1, 1]]},
            "yard": {"polygon": [[0, 0], [1, 0], [1, 1]], "loiter_s": 5},
        },
    }
)


def test_events_are_lines_of_one_table() -> None:
    lines = EventLines(["street"])
    assert "\n".join(lines.lines(each) for each in (LINE, VISIT, END, CAR)).splitlines() == [
        "time       kind        rule    direction  object    label         dwell",
        "1:01.25    line        street  left       17        person",
        "1:15.50    zone_exit   street             17        person        13.2 s",
        "1:16.00    end                 lost       17        person        16.0 s",
        "1:01.25    line        street  right      other/3   car",
    ]


def test_event_has_only_the_fields_that_apply() -> None:
    assert event_dict(VISIT) == {
        "at_s": 75.5,
        "kind": "zone_exit",
        "rule": "street",
        "object": "17",
        "label": "person",
        "since_s": 62.25,
        "dwell_s": 13.25,
        "box": [1, 2, 3, 4],
    }


def test_rules_that_never_fired_are_counted_too_and_lines_are_not_zones() -> None:
    enter = replace(LINE, kind="zone_enter", direction=None)
    counts = count_rules(GATE, [LINE, CAR, CAR, enter, VISIT], true=[LINE, LINE])
    assert [(each.rule, each.what, each.count, each.labels, each.true, each.error) for each in counts] == [
        ("street", "left", 1, {"person": 1}, 2, -1),
        ("street", "right", 2, {"car": 2}, 0, 2),
        ("street", "zone_enter", 1, {"person": 1}, 0, 1),
        ("yard", "zone_enter", 0, {}, 0, 0),
        ("yard", "loiter", 0, {}, 0, 0),
    ]
    assert {each.true for each in count_rules(GATE, [LINE])} == {None}


def test_report_doubts_truth_of_another_clip() -> None:
    counts = count_rules(GATE, [LINE], [LINE])
    report = RulesReport("gate", "a.mp4", 10, 10, 0.36, (LINE,), counts, {"person": Hota(0.5, 0.6, 0.4)}, 10)
    assert report.remark == ""
    assert replace(report, last_true_frame=11).remark == (
        "the ground truth goes on to frame 11, but the clip ends with frame 10; is it the truth of this clip?"
    )
    assert '"hota": 0.5' in to_json(report)
    assert report.sections()[0].rows[0] == ("street", "left", "1", "1 person", "1", "+0")
    assert replace(report, hota=None).sections()[0].columns == ("rule", "what", "count", "labels")
