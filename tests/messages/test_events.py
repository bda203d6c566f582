from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.events.examples import PERSON, crossing, event, line_state, zone_state
from tests.sinks.examples import WALL_S, checked

from framelane.messages.detections import as_replayed
from framelane.messages.events import (
    Count,
    cleared_message,
    event_id,
    event_message,
    line_message,
    zone_message,
)

if TYPE_CHECKING:
    from framelane.core.events import Event


def test_event_message_has_the_shape_of_the_contract() -> None:
    made = event_message("gate-01", crossing(), Count(42, WALL_S - 3600))

    assert (made.kind, made.stream, made.retain, made.key) == ("events", "lobby", False, "")
    body = checked(made)
    assert uuid.UUID(body.pop("event")).version == 5
    assert body == {
        "schema": "framelane.event/1",
        "node": "gate-01",
        "stream": "lobby",
        "run": "run-1",
        "kind": "line",
        "model": {"name": "yolox"},
        "object": {
            "id": "gate-01/lobby/run-1/17",
            "track_id": 17,
            "label": "person",
            "confidence": 0.8734,
            "box": [102.4, 310.0, 168.2, 482.9],
            "box_norm": [0.05335, 0.28704, 0.08758, 0.44713],
            "since": "2026-11-22T08:59:51.123456Z",
            "stationary": False,
            "zones": ["yard"],
        },
        "rule": "street",
        "direction": "left",
        "total": 42,
        "epoch": "2026-11-22T08:00:00.123456Z",
        "at": "2026-11-22T09:00:00.123456Z",
        "clock": "rtcp",
        "replayed": False,
    }
    assert list(body)[-1] == "replayed"


@pytest.mark.parametrize(
    ("happened", "more"),
    [
        (event(kind="end", reason="lost"), {"reason": "lost"}),
        (event(kind="zone_enter", rule="yard"), {}),
        (
            event(kind="zone_exit", rule="yard", since=WALL_S - 4.5),
            {"since": "2026-11-22T08:59:55.623456Z", "dwell_s": 4.5},
        ),
    ],
)
def test_event_message_has_what_its_kind_has(happened: Event, more: dict[str, object]) -> None:
    body = checked(event_message("gate-01", happened, None))
    assert {key: body[key] for key in ("since", "dwell_s", "reason") if key in body} == more
    assert (body["total"], body["epoch"]) == (None, None)


def test_event_reports_nothing_outside_the_image() -> None:
    large = replace(PERSON, xyxy=(-20.0, -1.0, 2000.0, 1100.0), confidence=1.2)
    body = checked(event_message("gate-01", event(object=large), None))
    assert (body["object"]["box"], body["object"]["box_norm"]) == ([0, 0, 1920, 1080], [0, 0, 1, 1])
    assert body["object"]["confidence"] == 1


def test_event_of_a_frame_without_size_has_an_empty_box() -> None:
    body = checked(event_message("gate-01", event(object=replace(PERSON, width=0, height=0)), None))
    assert body["object"]["box_norm"] == [0, 0, 0, 0]


def test_replay_of_an_event_changes_nothing_but_the_flag() -> None:
    made = event_message("gate-01", crossing(), None)
    late = as_replayed(made)
    assert checked(late) == checked(made) | {"replayed": True}
    assert as_replayed(late) == late


def test_event_id_is_fixed_forever() -> None:
    """A replay by a later version must repeat the ids of this one."""
    assert event_id("gate-01", crossing()) == "7d5cf7f2-16a3-54a2-8315-1bd80e560d51"


def test_event_ids_differ_if_anything_differs() -> None:
    others = [
        event(),
        event(18),
        crossing(),
        crossing(ordinal=2),
        crossing(rule="street/"),
        crossing(stream="lobby-2"),
        crossing(kind="zone_enter"),
    ]
    ids = [event_id("gate-01", each) for each in others] + [event_id("gate-02", event())]
    assert len(set(ids)) == len(ids)


def test_zone_message_is_retained_on_its_own_topic() -> None:
    made = zone_message("gate-01", zone_state(label="a/b"))
    assert (made.kind, made.stream, made.retain, made.key) == ("zones", "lobby", True, "yard/a%2Fb")
    assert checked(made) == {
        "schema": "framelane.zone/1",
        "node": "gate-01",
        "stream": "lobby",
        "zone": "yard",
        "label": "a/b",
        "count": 2,
        "since": "2026-11-22T08:59:51.123456Z",
        "as_of": "2026-11-22T09:00:00.123456Z",
        "known": True,
    }


def test_zone_message_says_nothing_that_is_unknown() -> None:
    body = checked(zone_message("gate-01", zone_state(count=None, since=None)))
    assert (body["count"], body["since"], body["known"]) == (None, None, False)


def test_line_message_is_retained_on_its_own_topic() -> None:
    made = line_message("gate-01", line_state())
    assert (made.kind, made.stream, made.retain, made.key) == ("lines", "lobby", True, "street/person")
    assert checked(made) == {
        "schema": "framelane.line/1",
        "node": "gate-01",
        "stream": "lobby",
        "line": "street",
        "label": "person",
        "left": 42,
        "right": 7,
        "epoch": "2026-11-22T08:00:00.123456Z",
        "as_of": "2026-11-22T09:00:00.123456Z",
        "known": True,
    }


def test_line_message_says_nothing_that_is_unknown() -> None:
    body = checked(line_message("gate-01", line_state(left=None, right=None, epoch=None)))
    assert (body["left"], body["right"], body["epoch"], body["known"]) == (None, None, None, False)


def test_cleared_message_deletes_the_retained_one() -> None:
    kept, gone = line_message("gate-01", line_state()), cleared_message("lines", "lobby", "street/person")
    assert (gone.kind, gone.stream, gone.key, gone.retain) == (kept.kind, kept.stream, kept.key, True)
    assert gone.payload == b""
