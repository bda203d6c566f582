"""Zones know who is in them and for how long, without flicker."""

from __future__ import annotations

import pytest
from tests.analytics.rules.scene import START, Scene, ruleset, straight

# From x = 300 to 700 and y = 200 to 400.
YARD = {"polygon": [[0.3, 0.4], [0.7, 0.4], [0.7, 0.8], [0.3, 0.8]]}


@pytest.mark.parametrize("fps", [25.0, 12.5, 5.0, 2.0])
def test_visit_counts_from_the_first_box_inside_to_the_last_at_any_frame_rate(fps: float) -> None:
    scene = Scene(ruleset(zones={"yard": YARD}), size=120.0)
    # 100 pixels per second from x = 100 to x = 900: inside from 2 s to 6 s.
    scene.walk(straight((100, 300), (900, 300), int(8 * fps) + 1), fps)
    (entered,), (left,) = scene.of("zone_enter"), scene.of("zone_exit")
    assert entered.at == pytest.approx(START + 2.0, abs=1 / fps + 1e-6)
    assert left.at == pytest.approx(START + 6.0, abs=1 / fps + 1e-6)
    assert left.since == entered.at
    assert (entered.rule, left.rule) == ("yard", "yard")


def test_border_flicker_is_one_visit() -> None:
    scene = Scene(ruleset(zones={"yard": YARD}))
    inside = [(500.0, 398.0), (500.0, 404.0)] * 50
    end_s = scene.walk(inside)
    scene.walk(straight((500, 404), (500, 480), 20), start_s=end_s)
    assert scene.kinds("zone_enter", "zone_exit") == ["zone_enter", "zone_exit"]


def test_passing_by_for_less_than_enter_s_is_no_visit() -> None:
    scene = Scene(ruleset(zones={"yard": {**YARD, "enter_s": 0.5}}))
    scene.walk(straight((280, 300), (320, 300), 3))
    scene.walk(straight((300, 300), (200, 300), 20), start_s=0.3)
    assert scene.kinds("zone_enter", "zone_exit") == []


def test_one_box_inside_is_no_visit_even_without_a_least_time() -> None:
    scene = Scene(ruleset(zones={"yard": {**YARD, "enter_s": 0.0}}), size=200)
    scene.walk([(200, 300), (320, 300), (200, 300), (150, 300)], fps=5)
    assert scene.kinds("zone_enter") == []


def test_object_that_vanishes_has_left_after_exit_s_as_of_its_last_box() -> None:
    scene = Scene(ruleset(zones={"yard": YARD}))
    end_s = scene.walk(straight((450, 300), (500, 300), 20))
    for index in range(15):
        scene.frame(end_s + index / 10)
    (left,) = scene.of("zone_exit")
    assert left.at == pytest.approx(START + end_s - 0.1)


def test_one_that_is_hidden_for_less_stays() -> None:
    scene = Scene(ruleset(zones={"yard": YARD}))
    end_s = scene.walk(straight((450, 300), (500, 300), 20))
    for index in range(8):
        scene.frame(end_s + index / 10)
    scene.walk(straight((520, 300), (560, 300), 20), start_s=end_s + 0.8)
    assert scene.kinds("zone_enter", "zone_exit") == ["zone_enter"]


def test_loitering_fires_once_per_visit() -> None:
    scene = Scene(ruleset(zones={"yard": {**YARD, "loiter_s": 5}}))
    end_s = scene.walk([(500.0, 300.0)] * 120)
    (loiters,) = scene.of("loiter")
    assert loiters.at == pytest.approx(START + 5.0, abs=0.11)
    assert loiters.since == START
    end_s = scene.walk(straight((500, 300), (200, 300), 60), start_s=end_s)
    end_s = scene.walk(straight((200, 300), (500, 300), 60), start_s=end_s)
    scene.walk([(500.0, 300.0)] * 100, start_s=end_s)
    assert len(scene.of("loiter")) == 2


def test_counts_per_label_follow_those_inside_and_are_said_at_the_first_frame() -> None:
    scene = Scene(ruleset(zones={"yard": {**YARD, "classes": ["person", "car"]}}))
    scene.frame(0.0)
    assert [(each.label, each.count) for each in scene.counts] == [("person", 0), ("car", 0)]
    for index in range(1, 11):
        scene.frame(index / 10, (400, 300), (500, 300), (600, 300), classes=[0, 0, 1])
    for index in range(11, 31):
        scene.frame(index / 10, (400, 300), classes=[0])
    counts = [(each.label, each.count) for each in scene.counts[2:]]
    assert counts == [("person", 2), ("car", 1), ("person", 1), ("car", 0)]


def test_labels_are_counted_as_they_occur_where_a_zone_names_none() -> None:
    scene = Scene(ruleset(zones={"yard": YARD}))
    scene.frame(0.0)
    assert scene.counts == []
    scene.walk([(500.0, 300.0)] * 10, start_s=0.1)
    assert [(each.zone, each.label, each.count) for each in scene.counts] == [("yard", "person", 1)]


def test_detections_name_their_zones_and_zones_may_overlap() -> None:
    half = {"polygon": [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]}
    scene = Scene(ruleset(zones={"yard": YARD, "east": half}))
    for index in range(10):
        scene.frame(index / 10, (400, 300), (600, 300), (100, 100))
    assert scene.zones == {(0, 0): ("yard",), (0, 1): ("yard", "east")}
    assert {each.object.zones for each in scene.of("zone_enter")} >= {("yard",), ("yard", "east")}


def test_change_of_one_zone_keeps_the_other_and_lets_its_objects_leave() -> None:
    east = {"polygon": [[0.4, 0.0], [1.0, 0.0], [1.0, 1.0], [0.4, 1.0]]}
    scene = Scene(ruleset(zones={"yard": YARD, "east": east}))
    end_s = scene.walk([(500.0, 300.0)] * 10)
    scene.rules = ruleset(zones={"north": {**YARD}, "yard": YARD})
    scene.walk([(500.0, 300.0)] * 10, start_s=end_s)
    visits = [(each.kind, each.rule) for each in scene.events if each.rule]
    assert visits == [
        ("zone_enter", "yard"),
        ("zone_enter", "east"),
        ("zone_exit", "east"),
        ("zone_enter", "north"),
    ]
    assert len({each.object.id for each in scene.events}) == 1


def test_concave_zone() -> None:
    # A U that is open at the top: the notch from x = 400 to 600 is outside.
    walls = [[0.3, 0.2], [0.4, 0.2], [0.4, 0.7], [0.6, 0.7], [0.6, 0.2], [0.7, 0.2], [0.7, 0.9], [0.3, 0.9]]
    scene = Scene(ruleset(zones={"u": {"polygon": walls}}))
    scene.walk([(500.0, 250.0)] * 10)
    assert scene.kinds("zone_enter") == []
    scene = Scene(ruleset(zones={"u": {"polygon": walls}}))
    scene.walk([(350.0, 250.0)] * 10)
    assert scene.kinds("zone_enter") == ["zone_enter"]
