"""Objects begin, stand still and end, each once."""

from __future__ import annotations

import pytest
from tests.analytics.rules.scene import START, Scene, ruleset, straight


def test_object_is_new_once_and_ends_once_with_its_times() -> None:
    scene = Scene(ruleset())
    end_s = scene.walk(straight((300, 250), (400, 250), 20))
    for index in range(30):
        scene.frame(end_s + index / 10)
    assert scene.kinds() == ["new", "end"]
    new, end = scene.events
    assert (new.at, new.object.since) == (START, START)
    assert end.at == pytest.approx(START + end_s - 0.1)
    assert (new.object.id, end.object.id) == ("node/gate/run/1", "node/gate/run/1")
    assert (end.reason, new.object.label, new.object.track_id) == ("lost", "person", 1)


def test_object_at_the_border_has_left() -> None:
    scene = Scene(ruleset())
    end_s = scene.walk(straight((900, 250), (990, 250), 20))
    for index in range(30):
        scene.frame(end_s + index / 10)
    assert scene.events[-1].reason == "left"


def test_what_is_seen_once_is_no_object() -> None:
    scene = Scene(ruleset())
    scene.frame(0.0, (500, 250))
    for index in range(1, 40):
        scene.frame(index / 10)
    assert scene.events == []


def test_object_that_stands_still_is_stationary_until_it_moves() -> None:
    scene = Scene(ruleset(still_s=3))
    end_s = scene.walk([(500.0 + index % 2, 250.0) for index in range(60)])
    end_s = scene.walk(straight((500, 250), (600, 250), 20), start_s=end_s)
    assert [(each.kind, each.object.stationary) for each in scene.events] == [
        ("new", False),
        ("update", True),
        ("update", False),
    ]
    assert scene.events[1].at == pytest.approx(START + 3.0, abs=0.11)


def test_parked_car_that_is_hidden_for_30_s_is_the_same_object_and_stays_in_its_zone() -> None:
    scene = Scene(ruleset(zones={"yard": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}}, still_s=3))
    end_s = scene.walk([(500.0, 250.0)] * 60)
    for index in range(300):
        scene.frame(end_s + index / 10)
    scene.walk([(503.0, 251.0)] * 20, start_s=end_s + 30)
    assert scene.kinds("new", "end", "zone_enter", "zone_exit") == ["new", "zone_enter"]
    assert {each.object.id for each in scene.events} == {"node/gate/run/1"}


def test_parked_car_that_does_not_come_back_ends_after_hold_s() -> None:
    scene = Scene(ruleset(still_s=3, hold_s=20))
    end_s = scene.walk([(500.0, 250.0)] * 60)
    for index in range(250):
        scene.frame(end_s + index / 10)
    (end,) = scene.of("end")
    assert end.at == pytest.approx(START + end_s - 0.1)


def test_parked_car_is_held_no_longer_once_its_stream_has_no_rules() -> None:
    scene = Scene(ruleset(still_s=3, hold_s=60))
    end_s = scene.walk([(500.0, 250.0)] * 60)
    scene.rules = None
    for index in range(30):
        scene.frame(end_s + index / 10)
    assert scene.tracker.tracks("gate") == 0


def test_object_in_view_is_updated_every_update_s() -> None:
    scene = Scene(ruleset(update_s=5, still_s=1000))
    scene.walk([(500.0, 250.0)] * 160)
    assert scene.kinds() == ["new", "update", "update", "update"]


def test_rule_event_updates_the_object() -> None:
    scene = Scene(ruleset({"street": {"points": [[0.1, 0.5], [0.9, 0.5]]}}))
    scene.walk(straight((500, 150), (500, 350), 41))
    assert scene.kinds() == ["new", "line", "update"]


def test_reconnect_ends_objects_because_of_the_stream_and_ids_go_on() -> None:
    scene = Scene(ruleset(zones={"yard": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}}))
    scene.walk([(500.0, 250.0)] * 10)
    scene.engine.end("gate", "stream")
    scene.walk([(500.0, 250.0)] * 10, start_s=5.0)
    assert [
        (each.kind, each.object.track_id, each.reason) for each in scene.events if each.kind != "update"
    ] == [
        ("new", 1, None),
        ("zone_enter", 1, None),
        ("zone_exit", 1, None),
        ("end", 1, "stream"),
        ("new", 2, None),
        ("zone_enter", 2, None),
    ]


def test_objects_can_be_left_out_and_asked_for_while_they_are_there() -> None:
    scene = Scene(ruleset(objects=False))
    end_s = scene.walk([(500.0, 250.0)] * 10)
    assert scene.events == []
    scene.rules = ruleset()
    end_s = scene.walk([(500.0, 250.0)] * 10, start_s=end_s)
    scene.rules = ruleset(objects=False)
    end_s = scene.walk([(500.0, 250.0)] * 10, start_s=end_s)
    scene.rules = ruleset()
    end_s = scene.walk([(500.0, 250.0)] * 10, start_s=end_s)
    scene.rules = None
    scene.walk([(500.0, 250.0)] * 10, start_s=end_s)
    assert scene.kinds() == ["new", "end", "new", "end"]


def test_rules_for_a_stream_with_tracks_begin_with_those_in_view() -> None:
    scene = Scene(None)
    end_s = scene.walk([(500.0, 250.0)] * 10)
    scene.rules = ruleset(zones={"yard": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}})
    scene.walk([(500.0, 250.0)] * 10, start_s=end_s)
    assert scene.kinds("new", "zone_enter") == ["new", "zone_enter"]


def test_each_kind_of_event_has_ordinals_of_its_own() -> None:
    scene = Scene(ruleset({"street": {"points": [[0.1, 0.5], [0.9, 0.5]]}}))
    there, back = straight((500, 200), (500, 300), 21), straight((500, 300), (500, 200), 21)
    scene.walk([*there, *back])
    assert [(each.kind, each.ordinal) for each in scene.events] == [
        ("new", 1),
        ("line", 1),
        ("update", 1),
        ("line", 2),
        ("update", 2),
    ]
