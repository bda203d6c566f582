"""Everything that can be wrong with a stream's rules: input -> exact findings."""

# ruff: noqa: E501, ISC004 - a table of messages reads best with each message whole

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.config.yaml.load import check_text

if TYPE_CHECKING:
    from pathlib import Path

GOOD_LINE = "{points: [[0.1, 0.7], [0.9, 0.7]]}"
GOOD_ZONE = "{polygon: [[0.2, 0.5], [0.8, 0.5], [0.5, 1]]}"
POINTS = "points [x, y], each a number from 0 to 1"
NAME = "a name of 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or a digit"
TRACK = "needs tracked objects; set `track: true` in this stream or in `defaults`"


def findings(base: Path, options: str, **sections: str) -> list[str]:
    """Findings on a file whose only stream, from line 4 on, has these options as YAML flow values."""
    text = f"""\
mqtt: {{url: "mqtt://127.0.0.1"}}
models: {{yolox: {{path: m.onnx, labels: [person, car]}}}}
streams:
  - {{id: lobby, url: "rtsp://10.0.0.7/1", {options}}}
"""
    text += "".join(f"{name}: {value}\n" for name, value in sections.items())
    return [f"{finding.line} {finding}" for finding in check_text(text, base, {}).findings]


def lines(rule: str) -> str:
    return f"track: true, lines: {{street: {rule}}}"


def zones(rule: str) -> str:
    return f"track: true, zones: {{yard: {rule}}}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (lines(GOOD_LINE), []),
        (zones(GOOD_ZONE), []),
        (zones("{polygon: [[0, 0], [0.5, 0], [1, 0], [1, 1]]}"), []),
        (zones("{polygon: [[0, 0], [1, 0], [1, 1], [0.5, 0.5], [0, 1]]}"), []),
        (lines("{points: [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.2]]}"), []),
        ('track: true, events: {reset: "00:00"}', []),
        # shapes
        (lines("{points: [[0.1, 0.7]]}"), [
            f"streams[0].lines.street.points: expected a list of 2 to 32 {POINTS}; got a list of 1"]),
        (zones("{polygon: [[0.1, 0.7], [0.2, 0.3]]}"), [
            f"streams[0].zones.yard.polygon: expected a list of 3 to 64 {POINTS}; got a list of 2"]),
        (lines("{}"), [f"streams[0].lines.street.points: is missing; expected a list of 2 to 32 {POINTS}"]),
        (lines(""), [f"streams[0].lines.street.points: is missing; expected a list of 2 to 32 {POINTS}"]),
        (zones("{polygn: 1}"), ["streams[0].zones.yard.polygn: unknown key `polygn`; did you mean `polygon`?"]),
        (lines("{points: [[0.1, 0.7, 1], [0.2, 0.3]]}"), [
            "streams[0].lines.street.points[0]: expected a list of 2 items, each a number from 0 to 1; got a list of 3"]),
        (zones("{polygon: [[0.1, 0.7], [0.2, 0.3], [1.2, 0.5]]}"), [
            "streams[0].zones.yard.polygon[2][0]: expected a number from 0 to 1; got `1.2`"]),
        (lines("{points: [[-0.1, 0.7], [640, 480]]}"), [
            "streams[0].lines.street.points[0][0]: expected a number from 0 to 1; got `-0.1`",
            "streams[0].lines.street.points[1][0]: expected a number from 0 to 1; got `640`",
            "streams[0].lines.street.points[1][1]: expected a number from 0 to 1; got `480`"]),
        (lines("{points: [[0.5, 0.7], [0.5, 0.7]]}"), [
            "streams[0].lines.street.points: has no length; give it two different points"]),
        (lines("{points: [[0.1, 0.7], [0.5, 0.7], [0.5, 0.7]]}"), [
            "streams[0].lines.street.points[2]: repeats the point before it; remove it"]),
        (lines("{points: [[0.1, 0.7], [0.5, 0.7], [0.2, 0.7]]}"), [
            "streams[0].lines.street.points: crosses itself: its edge from [0] to [1] and its edge from [1] to [2] meet, "
            "so left and right would be unclear"]),
        (zones("{polygon: [[0, 0], [0.1, 0.3], [0.2, 0.6]]}"), [
            "streams[0].zones.yard.polygon: has no area: all its corners lie on one line"]),
        (zones("{polygon: [[0, 0], [1, 0], [1, 1], [0, 0]]}"), [
            "streams[0].zones.yard.polygon[3]: repeats the first corner; remove it, since a zone closes by itself"]),
        (zones("{polygon: [[0, 0], [0, 0], [1, 0], [1, 1], [1, 1]]}"), [
            "streams[0].zones.yard.polygon[1]: repeats the corner before it; remove it",
            "streams[0].zones.yard.polygon[4]: repeats the corner before it; remove it"]),
        (zones("{polygon: [[0, 0], [1, 1], [1, 0], [0, 1]]}"), [
            "streams[0].zones.yard.polygon: crosses itself: its edge from [0] to [1] and its edge from [2] to [3] meet; "
            "list its corners in order around the zone"]),
        # names
        (f"track: true, lines: {{my line: {GOOD_LINE}}}", [
            f'streams[0].lines["my line"]: expected {NAME}; got `my line`']),
        (f"track: true, lines: {{yard: {GOOD_LINE}}}, zones: {{yard: {GOOD_ZONE}}}", [
            "streams[0].zones.yard: `yard` is already the name of a line; choose another"]),
        (f"track: true, lines: {{street: {GOOD_LINE}, street: {GOOD_LINE}}}", [
            "streams[0].lines.street: duplicate key, on lines 4 and 4"]),
        ("track: true, lines: [street]", ["streams[0].lines: expected a map of at most 64; got a list of 1"]),
        # labels
        (lines("{points: [[0, 0], [1, 1]], classes: [persn, car]}"), [
            "streams[0].lines.street.classes[0]: unknown label `persn`; did you mean `person`?"]),
        (zones(GOOD_ZONE[:-1] + ", classes: [person, car, persn]}") + ", classes: [person]", [
            "streams[0].zones.yard.classes[1]: the stream's `classes` leaves out `car`; add it there, or remove it here",
            "streams[0].zones.yard.classes[2]: unknown label `persn`; did you mean `person`?"]),
        (lines(GOOD_LINE[:-1] + ", classes: [person]}") + ", classes: [persn]", [
            "streams[0].classes[0]: unknown label `persn`; did you mean `person`?"]),
        (zones(GOOD_ZONE[:-1] + ", classes: []}"), [
            "streams[0].zones.yard.classes: expected a list of texts, at least one, or null; got an empty list"]),
        # options
        (zones(GOOD_ZONE[:-1] + ", enter_s: -1, loiter_s: 0}"), [
            "streams[0].zones.yard.enter_s: expected a number from 0 to 3600; got `-1`",
            "streams[0].zones.yard.loiter_s: expected a number above 0 and at most 86400, or null; got `0`"]),
        (lines(GOOD_LINE[:-1] + ", anchor: left}"), [
            "streams[0].lines.street.anchor: expected `bottom`, `center` or `top`; got `left`"]),
        (lines(GOOD_LINE[:-1] + ", min_boxes: 0}"), [
            "streams[0].lines.street.min_boxes: expected a whole number from 1 to 100; got `0`"]),
        (lines(GOOD_LINE[:-1] + ", min_boxes: 1.5}"), [
            "streams[0].lines.street.min_boxes: expected a whole number from 1 to 100; got `1.5`"]),
        ('track: true, events: {reset: "24:00"}', [
            "streams[0].events.reset: expected a time of day from `00:00` to `23:59`, or null; got `24:00`"]),
        # objects that are not tracked
        (f"lines: {{street: {GOOD_LINE}}}, zones: {{yard: {GOOD_ZONE}}}, events: {{}}", [
            f"streams[0].lines: {TRACK}", f"streams[0].zones: {TRACK}", f"streams[0].events: {TRACK}"]),
        (f"track: false, lines: {{street: {GOOD_LINE}}}", [f"streams[0].lines: {TRACK}"]),
        ("track: maybe, events: {}", ["streams[0].track: expected `true` or `false`; got `maybe`"]),
        ("lines: {}, zones: {}, events: null", []),
        # a fault of one rule hides none of another
        ("track: true, lines: {a: {points: 5}, b: {points: [[1, 1], [1, 1]]}, c: 5}", [
            f"streams[0].lines.a.points: expected a list of 2 to 32 {POINTS}; got `5`",
            "streams[0].lines.b.points: has no length; give it two different points",
            "streams[0].lines.c: expected a map; got `5`"]),
        ("track: true, lines: {a: {points: 5, classes: [persn]}, b: }", [
            f"streams[0].lines.a.points: expected a list of 2 to 32 {POINTS}; got `5`",
            "streams[0].lines.a.classes[0]: unknown label `persn`; did you mean `person`?",
            f"streams[0].lines.b.points: is missing; expected a list of 2 to 32 {POINTS}"]),
    ],
)  # fmt: skip
def test_findings_on_rules(base: Path, options: str, expected: list[str]) -> None:
    assert [f"4 {message}" for message in expected] == findings(base, options)


def test_findings_on_rules_have_their_own_lines(base: Path) -> None:
    text = """\
mqtt: {url: "mqtt://127.0.0.1"}
models: {yolox: {path: m.onnx}}
streams:
  - id: lobby
    url: "rtsp://10.0.0.7/1"
    track: true
    lines:
      street:
        points: [[0.5, 0.5], [0.5, 0.5]]
    zones:
      yard:
        polygon:
          - [0, 0]
          - [1, 0]
          - [1, 2]
      street:
        polygon: [[0, 0], [1, 1], [0.5, 0.5]]
"""
    report = check_text(text, base, {})
    assert {each.path: each.line for each in report.findings} == {
        "streams[0].lines.street.points": 9,
        "streams[0].zones.yard.polygon[2][1]": 15,
        "streams[0].zones.street": 16,
        "streams[0].zones.street.polygon": 17,
    }


@pytest.mark.parametrize(
    ("options", "defaults", "expected"),
    [
        ("fps: 5", "{track: true, events: {still_s: 5}}", []),
        (f"lines: {{street: {GOOD_LINE}}}", "{track: true}", []),
        ("track: false", "{track: true, events: {still_s: 5}}", []),
        (f"track: false, lines: {{street: {GOOD_LINE}}}", "{track: true}", [f"4 streams[0].lines: {TRACK}"]),
        (
            f"lines: {{street: {GOOD_LINE}}}",
            "{track: 5}",
            ["5 defaults.track: expected `true` or `false`; got `5`"],
        ),
        (
            lines(GOOD_LINE[:-1] + ", classes: [car]}"),
            "{classes: [person]}",
            [
                "4 streams[0].lines.street.classes[0]: the stream's `classes` leaves out `car`; "
                "add it there, or remove it here"
            ],
        ),
    ],
)
def test_rules_are_checked_with_what_the_stream_inherits(
    base: Path, options: str, defaults: str, expected: list[str]
) -> None:
    assert expected == findings(base, options, defaults=defaults)


def test_events_that_no_stream_can_have_are_a_warning(base: Path) -> None:
    text = """\
mqtt: {url: "mqtt://127.0.0.1"}
models: {yolox: {path: m.onnx}}
defaults: {events: {still_s: 5}}
streams: [{id: lobby, url: "rtsp://10.0.0.7/1"}]
"""
    report = check_text(text, base, {})
    assert [str(each) for each in report.warnings] == [
        "defaults.events: has no effect: no stream has `track: true`"
    ]
    assert report.require().streams[0].event_options is None
