"""What the ledger makes of happenings: counted events, retained messages, and facts for the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from tests.events.desk import LOBBY, config_of
from tests.events.examples import crossing, event
from tests.sinks.examples import WALL_S, FakeClock

from framelane.core.events import Occupancy
from framelane.events.ledger import Ledger
from framelane.events.rules import Rule, RuleKey, rules_of

if TYPE_CHECKING:
    from framelane.events.facts import FactKey

YARD = Occupancy("lobby", "yard", "person", 2, WALL_S)


def rules(**changes: Any) -> dict[RuleKey, Rule]:
    """The rules of the stream `lobby`, some of its options changed."""
    return rules_of(config_of(Path("/nowhere"), {"lobby": LOBBY | changes}))


def ledger(clock: FakeClock | None = None, **changes: Any) -> Ledger:
    return Ledger("gate-01", rules(**changes), clock or FakeClock())


def disk_of(made: Ledger) -> dict[FactKey, bytes]:
    return {key: value for key, value in made.facts.unsaved().items() if value is not None}


def said(made: Ledger, *, known: bool = True, all_lines: bool = False) -> dict[str, Any]:
    """New retained messages by topic; None for those that are cleared."""
    return {
        f"{each.kind}/{each.key}": orjson.loads(each.payload) if each.payload else None
        for each in made.news(known=known, all_lines=all_lines)
    }


def test_event_and_its_counter_come_together_and_once() -> None:
    made = ledger()
    made.take(crossing(1))
    made.take(event(1, kind="update"))
    totals = [(each.event.kind, each.counter and each.counter.total) for each in made.counted()]
    assert totals == [("line", 1), ("update", None)]
    assert made.counted() == []


def test_end_of_an_object_that_never_came_counts_nothing() -> None:
    made = ledger()
    made.take(event(1, kind="end"))
    assert made.counted() == []


def test_line_says_nothing_new_until_something_crosses() -> None:
    made = ledger()
    assert {"lines/street/person", "lines/street/car"} <= set(said(made, all_lines=True))
    assert said(made) == {}
    made.take(crossing(1))
    first = said(made)
    assert (first["lines/street/person"]["left"], first["lines/street/person"]["known"]) == (1, True)


def test_line_without_a_usable_disk_is_unknown() -> None:
    made = ledger()
    made.take(crossing(1))
    line = said(made, known=False)["lines/street/person"]
    assert (line["left"], line["right"], line["known"]) == (None, None, False)


def test_zone_is_unknown_while_its_stream_is_not_live() -> None:
    made = ledger()
    made.stream_changed("lobby", "live")
    made.occupied(YARD)
    zone = said(made)["zones/yard/person"]
    assert (zone["count"], zone["known"]) == (2, True)
    made.stream_changed("lobby", "down")
    zone = said(made)["zones/yard/person"]
    assert (zone["count"], zone["known"]) == (None, False)


def test_removed_rule_clears_its_topics_and_the_others_stay() -> None:
    made = ledger()
    made.stream_changed("lobby", "live")
    made.occupied(YARD)
    said(made, all_lines=True)
    made.configure(rules(zones={}))
    assert said(made) == {"zones/yard/person": None}


def test_next_process_goes_on_counting_and_ends_what_was_open() -> None:
    clock = FakeClock()
    before = ledger(clock)
    before.take(event(1))
    before.take(crossing(1, at=WALL_S + 1))
    said(before, all_lines=True)
    after = ledger(clock)
    after.load(disk_of(before))
    (end,) = after.counted()
    assert (end.event.kind, end.event.reason, end.event.at) == ("end", "restart", WALL_S + 1)
    after.take(crossing(2, run="run-2"))
    assert [each.counter and each.counter.total for each in after.counted()] == [2]


def test_rule_that_changed_between_two_processes_starts_at_zero() -> None:
    before = ledger()
    before.take(crossing(1))
    line = {"points": [[0.1, 0.2], [0.9, 0.2]], "classes": ["person", "car"]}
    after = ledger(lines={"street": line})
    after.load(disk_of(before))
    after.take(replace(crossing(2), run="run-2"))
    assert [each.counter and each.counter.total for each in after.counted()] == [1]
