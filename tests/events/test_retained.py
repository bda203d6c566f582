"""A broker that retains a zone or line forever shows it forever: topics are cleared once nothing wants them."""

from __future__ import annotations

import orjson
from tests.events.examples import line_state, zone_state
from tests.sinks.examples import FakeClock

from framelane.events.facts import FactKey, Facts
from framelane.events.retained import Retained, RetainedKey
from framelane.events.rules import RuleKey

DAY_S = 86_400.0
YARD = RetainedKey(RuleKey("lobby", "zones", "yard"), "person")
STREET = RetainedKey(RuleKey("lobby", "lines", "street"), "person")


def stored(facts: Facts) -> dict[FactKey, bytes]:
    return {key: value for key, value in facts.unsaved().items() if value is not None}


def test_topic_is_a_fact_from_its_first_message_on() -> None:
    facts = Facts()
    retained = Retained(facts, "gate-01", FakeClock())
    first = retained.say(zone_state())
    assert (first.kind, first.stream, first.key, first.retain) == ("zones", "lobby", "yard/person", True)
    assert stored(facts) == {YARD.fact: b"null"}
    facts.saved()
    retained.say(zone_state(count=3))
    retained.say(line_state())
    assert stored(facts) == {STREET.fact: b"null"}
    assert retained.states == {YARD: zone_state(count=3), STREET: line_state()}


def test_topic_that_nothing_wants_is_cleared_once_in_this_process() -> None:
    retained = Retained(Facts(), "gate-01", FakeClock())
    retained.say(zone_state())
    retained.say(line_state())
    (cleared,) = retained.clear(lambda key: key == STREET)
    assert (cleared.kind, cleared.key, cleared.payload, cleared.retain) == ("zones", "yard/person", b"", True)
    assert retained.clear(lambda key: key == STREET) == []


def test_start_clears_a_topic_again_for_a_week() -> None:
    """The broker may not have got the message of the process that cleared it."""
    clock, facts = FakeClock(), Facts()
    retained = Retained(facts, "gate-01", clock)
    retained.say(zone_state())
    retained.clear(lambda _key: False)
    disk = stored(facts)
    clock.advance(6 * DAY_S)
    kept, cleared = Retained(Facts(), "gate-01", clock).load(disk, lambda _key: False)
    assert (kept, [each.key for each in cleared]) == ([], ["yard/person"])
    clock.advance(2 * DAY_S)
    later = Facts()
    later.load(disk)
    assert Retained(later, "gate-01", clock).load(disk, lambda _key: False) == ([], [])
    assert later.unsaved() == {YARD.fact: None}


def test_start_keeps_what_is_wanted_and_dates_what_is_not() -> None:
    clock = FakeClock()
    facts = Facts()
    disk = {YARD.fact: b"null", STREET.fact: b"null", FactKey("total", ("lobby",)): b"4"}
    kept, cleared = Retained(facts, "gate-01", clock).load(disk, lambda key: key == YARD)
    assert (kept, [each.key for each in cleared]) == ([YARD], ["street/person"])
    assert facts.unsaved() == {STREET.fact: orjson.dumps(clock.wall())}


def test_clock_that_went_back_does_not_keep_a_topic_forever() -> None:
    clock = FakeClock()
    disk = {YARD.fact: orjson.dumps(clock.wall() + 1)}
    facts = Facts()
    facts.load(disk)
    assert Retained(facts, "gate-01", clock).load(disk, lambda _key: False) == ([], [])
    assert facts.unsaved() == {YARD.fact: None}
