"""`/api/rules`: what lines and zones count now, and when nobody knows."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from framelane.config.sections.stream import StreamConfig
from framelane.messages.events import LineState, ZoneState
from framelane.web.rules import rules

POINTS = [[0.1, 0.7], [0.9, 0.7]]
POLYGON = [[0.2, 0.5], [0.8, 0.5], [0.9, 1.0]]
GATE = {
    "id": "gate",
    "url": "rtsp://h/1",
    "track": True,
    "lines": {"street": {"points": POINTS}},
    "zones": {"yard": {"polygon": POLYGON}},
}


@dataclass
class Counts:
    states: list[ZoneState | LineState]
    counting: bool = True


def shown(counts: Counts, **options: object) -> dict[str, object]:
    streams = [StreamConfig.model_validate({**GATE, **options})]
    return rules(streams, counts).model_dump()["streams"]  # type: ignore[no-any-return]


def test_counts_stand_beside_their_line_and_zone_by_label() -> None:
    states: list[ZoneState | LineState] = [
        LineState("gate", "street", "person", 2, 1, 5.0, 9.0),
        LineState("gate", "street", "car", 0, 7, 5.0, 9.0),
        ZoneState("gate", "yard", "person", 3, 8.0, 9.0),
        LineState("gate", "removed", "person", 2, 1, 5.0, 9.0),
        ZoneState("lobby", "yard", "person", 4, 8.0, 9.0),
    ]
    assert shown(Counts(states)) == {
        "gate": {
            "lines": {
                "street": {
                    "points": POINTS,
                    "known": True,
                    "counts": [
                        {"label": "car", "left": 0, "right": 7, "epoch": 5.0},
                        {"label": "person", "left": 2, "right": 1, "epoch": 5.0},
                    ],
                }
            },
            "zones": {
                "yard": {"polygon": POLYGON, "known": True, "counts": [{"label": "person", "count": 3}]}
            },
        }
    }


@pytest.mark.parametrize(
    ("states", "counting", "line", "zone"),
    [
        ([], True, True, False),
        ([], False, False, False),
        ([ZoneState("gate", "yard", "person", None, None, 9.0)], True, True, False),
        ([LineState("gate", "street", "person", None, None, None, 9.0)], True, False, False),
        (
            [
                ZoneState("gate", "yard", "car", 0, 8.0, 9.0),
                ZoneState("gate", "yard", "person", None, None, 9.0),
            ],
            True,
            True,
            False,
        ),
    ],
)
def test_what_nobody_knows_is_never_a_0(
    states: list[ZoneState | LineState], *, counting: bool, line: bool, zone: bool
) -> None:
    stream = shown(Counts(states, counting))["gate"]
    assert isinstance(stream, dict)
    assert (stream["lines"]["street"]["known"], stream["zones"]["yard"]["known"]) == (line, zone)


@pytest.mark.parametrize("options", [{"track": False}, {"lines": {}, "zones": {}}])
def test_streams_that_count_nothing_are_left_out(options: dict[str, object]) -> None:
    assert shown(Counts([]), **options) == {}
