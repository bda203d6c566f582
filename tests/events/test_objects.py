"""Each `new` has exactly one `end`, whatever arrives twice, late or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.events.examples import crossing, event
from tests.sinks.examples import WALL_S

from framelane.events.facts import Facts
from framelane.events.objects import OpenObjects

if TYPE_CHECKING:
    from framelane.core.events import Event


def stored(facts: Facts) -> dict[object, bytes]:
    """What a disk has that was empty before."""
    return {key: value for key, value in facts.unsaved().items() if value is not None}


@pytest.mark.parametrize(
    ("taken", "published"),
    [
        ([event(1), event(1)], [True, False]),
        ([event(1, kind="end")], [False]),
        ([event(1), event(1, kind="end"), event(1, kind="end")], [True, True, False]),
        ([event(1, kind="update"), crossing(1)], [True, True]),
        ([event(1), event(1, kind="end"), event(1, kind="clip")], [True, True, True]),
    ],
    ids=["new twice", "end of none", "end twice", "rules without objects", "clip after the end"],
)
def test_second_new_and_end_without_one_are_not_published(taken: list[Event], published: list[bool]) -> None:
    objects = OpenObjects(Facts())
    assert [objects.take(each) for each in taken] == published


def test_clip_does_not_become_the_last_word_about_its_object() -> None:
    objects = OpenObjects(Facts())
    objects.take(event(1, at=WALL_S + 5))
    objects.take(event(1, kind="clip", at=WALL_S - 60))
    assert [each.at for each in objects.ends("stopped")] == [WALL_S + 5]


def test_end_comes_at_the_last_known_time_and_says_nothing_of_rules() -> None:
    objects = OpenObjects(Facts())
    objects.take(event(1))
    objects.take(crossing(1, at=WALL_S + 3, ordinal=4, snapshot_url="/x", since=WALL_S))
    (end,) = objects.ends("lost")
    assert end == replace(event(1, at=WALL_S + 3, kind="end", reason="lost"))


def test_only_the_streams_asked_for_end_their_objects() -> None:
    objects = OpenObjects(Facts())
    for each in (event(1), event(2, stream="gate"), event(3, stream="gate")):
        objects.take(each)
    assert [each.object.track_id for each in objects.ends("stopped", ["gate", "unknown"])] == [2, 3]
    assert [each.object.track_id for each in objects.ends("stopped")] == [1, 2, 3]


def test_only_objects_of_other_runs_end_when_a_new_run_begins() -> None:
    objects = OpenObjects(Facts())
    objects.take(event(1))
    objects.take(event(2, run="run-2"))
    assert [(each.object.track_id, each.reason) for each in objects.ends_of_others("lobby", "run-2")] == [
        (1, "restart")
    ]


def test_next_process_ends_what_is_still_open_on_disk() -> None:
    facts = Facts()
    before = OpenObjects(facts)
    for each in (event(1), event(2), crossing(2, at=WALL_S + 2), event(1, kind="end")):
        before.take(each)
    after = OpenObjects(Facts())
    (end,) = after.load(stored(facts))  # type: ignore[arg-type] # of keys
    assert end == replace(event(2, at=WALL_S + 2, kind="end", reason="restart"))
    assert after.take(end)
    assert not after.take(end)
