"""ONVIF messages ahead of crossings, and what is settled and sent again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from tests.events.examples import crossing, event

from framelane.messages.events import event_message
from framelane.messages.onvif.crossings import WithCrossings

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.messages.detections import Message

NEW, FIRST, SECOND = (event_message("gate-01", each, None) for each in (event(1), crossing(1), crossing(2)))


class Journal:
    """The simplest of all journals."""

    def __init__(self, *messages: Message) -> None:
        self.ready = deque(enumerate(messages, 1))
        self.flying: dict[int, Message] = {}
        self.arrived: Callable[[], None] = self.ready.clear

    def take(self) -> tuple[int, Message] | None:
        if not self.ready:
            return None
        ticket, message = self.ready.popleft()
        self.flying[ticket] = message
        return ticket, message

    def settle(self, ticket: int) -> None:
        del self.flying[ticket]

    def rewind(self) -> None:
        self.ready.extendleft(reversed(self.flying.items()))
        self.flying.clear()

    def waiting(self) -> bool:
        return bool(self.ready)

    def __len__(self) -> int:
        return len(self.ready) + len(self.flying)


def taken(events: WithCrossings, most: int = 99) -> list[tuple[int, str]]:
    """Ticket and kind of the next messages."""
    found: list[tuple[int, str]] = []
    while len(found) < most and events.waiting():
        one = events.take()
        assert one is not None
        found.append((one[0], one[1].kind))
    return found


def test_crossings_follow_their_onvif_message() -> None:
    events = WithCrossings(Journal(NEW, FIRST, SECOND))
    assert taken(events) == [(1, "events"), (-2, "onvif"), (2, "events"), (-3, "onvif"), (3, "events")]
    assert events.take() is None


@pytest.mark.parametrize("order", [(-1, 1), (1, -1)])
def test_event_is_settled_once_both_are(order: tuple[int, int]) -> None:
    journal = Journal(FIRST, SECOND)
    events = WithCrossings(journal)
    assert taken(events, 2) == [(-1, "onvif"), (1, "events")]
    events.settle(order[0])
    assert journal.flying == {1: FIRST}
    events.settle(order[1])
    assert journal.flying == {}
    assert len(events) == len(journal) == 1


def test_event_without_an_onvif_message_is_settled_by_itself() -> None:
    journal = Journal(NEW)
    events = WithCrossings(journal)
    assert taken(events) == [(1, "events")]
    events.settle(1)
    assert len(events) == len(journal) == 0


def test_sink_is_told_of_arrivals() -> None:
    journal, told = Journal(), []
    WithCrossings(journal).arrived = lambda: told.append(True)
    journal.arrived()
    assert told == [True]


@pytest.mark.parametrize("sent", [2, 3])
@pytest.mark.parametrize("settled", [(), (-2,), (2,)])
def test_event_is_sent_again_with_its_onvif_message(sent: int, settled: tuple[int, ...]) -> None:
    """Whether its turn had come or not, and whichever of the two the broker has acknowledged."""
    journal = Journal(NEW, FIRST)
    events = WithCrossings(journal)
    assert taken(events, sent) == [(1, "events"), (-2, "onvif"), (2, "events")][:sent]
    for ticket in (1, *settled):
        if ticket < sent:
            events.settle(ticket)
    events.rewind()
    assert taken(events) == [(-2, "onvif"), (2, "events")]
    events.settle(2)
    assert len(events) == 1
    events.settle(-2)
    assert len(events) == 0


def test_text_that_looks_like_a_kind_is_no_crossing() -> None:
    odd = event_message("gate-01", event(1, run='"kind":"line"'), None)
    assert taken(WithCrossings(Journal(odd))) == [(1, "events")]
