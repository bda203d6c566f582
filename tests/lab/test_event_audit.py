"""The audit of events finds what a consumer would suffer from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.events.examples import crossing, event, line_state
from tests.sinks.examples import WALL_S

from framelane.messages.detections import as_replayed
from framelane.messages.events import Count, event_message, line_message
from lab.event_audit import EventAudit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.messages.detections import Message

EVENTS = "framelane/gate-01/streams/lobby/events"
LINES = "framelane/gate-01/streams/lobby/lines/street/person"


def crossed(number: int, total: int | None, **changes: Any) -> Message:
    count = None if total is None else Count(total, WALL_S - 3600)
    return event_message("gate-01", crossing(number, **changes), count)


def audited(*messages: Message, left: int = 2, known: bool = True) -> EventAudit:
    audit = EventAudit()
    for message in messages:
        audit.take(EVENTS, message.payload)
    state = line_state(left=left, right=0)
    audit.take(
        LINES, line_message("gate-01", state if known else replace(state, left=None, epoch=None)).payload
    )
    return audit


CAME = [event_message("gate-01", event(number), None) for number in (1, 2)]
WENT = [event_message("gate-01", event(number, kind="end", reason="left"), None) for number in (1, 2)]
CROSSED = [crossed(1, 1), crossed(2, 2)]


def test_audit_finds_nothing_if_all_is_well() -> None:
    audit = audited(*CAME, *CROSSED, as_replayed(CROSSED[0]), *WENT)
    assert audit.faults() == []
    assert (audit.events(), audit.received, audit.replayed) == (6, 7, 1)
    assert audit.runs() == {"run-1"}


@pytest.mark.parametrize(
    ("messages", "left", "expected"),
    [
        ([*CAME, *CROSSED, WENT[0]], 2, "object gate-01/lobby/run-1/2 has 1 new and 0 end"),
        ([*CROSSED, *CAME[1:], *WENT], 2, "object gate-01/lobby/run-1/1 has 0 new and 1 end"),
        ([*CAME, CROSSED[1], *WENT], 2, "missing [1] (1)"),
        ([*CAME, crossed(1, 1), crossed(2, 1), *WENT], 2, "twice [1] (1)"),
        ([*CAME, *CROSSED, *WENT], 3, "lobby/street/person: 2 to the left, retained 3"),
        ([*CAME, *CROSSED, CROSSED[0], *WENT], 2, "came twice and did not say so"),
        ([*CAME, *CROSSED, as_replayed(crossed(1, 3)), *WENT], 2, "has two contents"),
    ],
)
def test_audit_names_each_fault(messages: Sequence[Message], left: int, expected: str) -> None:
    assert [fault for fault in audited(*messages, left=left).faults() if expected in fault] != []


def test_audit_lets_as_many_totals_miss_as_events_did_not_tell_theirs() -> None:
    assert audited(*CAME, crossed(1, None), crossed(2, 2), *WENT).faults() == []
    assert audited(*CAME, crossed(1, 1), crossed(2, None), *WENT).faults() == []
    assert audited(*CAME, crossed(1, None), crossed(2, 3), *WENT, left=2).faults() != []
    assert audited(*CAME, crossed(1, None), crossed(2, 2), *WENT, left=1).faults() != []
    assert audited(*CAME, crossed(1, None), crossed(2, 2), *WENT).untold() == 1


def test_audit_knows_whether_counters_are_known() -> None:
    assert audited(*CAME, *CROSSED).known()
    assert not audited(*CAME, *CROSSED, known=False).known()


def test_audit_takes_a_counter_that_is_unknown_in_the_end_for_a_fault() -> None:
    assert len(audited(*CAME, *CROSSED, *WENT, known=False).faults()) == 1
