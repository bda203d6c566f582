from __future__ import annotations

from framelane.events.facts import FactKey, Facts

A, B = FactKey("total", ("lobby", "a")), FactKey("total", ("lobby", "b"))


def test_only_changes_are_unsaved_and_a_dropped_fact_is_deleted() -> None:
    facts = Facts()
    facts.put(A, 1)
    facts.put(B, {"left": 2})
    assert facts.unsaved() == {A: b"1", B: b'{"left":2}'}
    facts.saved()
    facts.put(A, 3)
    facts.drop(B)
    assert facts.unsaved() == {A: b"3", B: None}


def test_fact_that_never_was_leaves_nothing_to_delete() -> None:
    facts = Facts()
    facts.drop(A)
    assert facts.unsaved() == {}


def test_facts_of_this_process_win_over_those_of_the_disk() -> None:
    facts = Facts()
    facts.put(A, 1)
    facts.load({A: b"9", B: b"2"})
    facts.saved()
    facts.begin_again()
    assert facts.unsaved() == {A: b"1", B: b"2"}


def test_new_file_gets_every_fact_but_no_deletion() -> None:
    facts = Facts()
    facts.put(A, 1)
    facts.put(B, 2)
    facts.saved()
    facts.drop(B)
    facts.begin_again()
    assert facts.unsaved() == {A: b"1"}
