from __future__ import annotations

import time

import pytest
from tests.events.examples import crossing, zone_state
from tests.sinks.examples import detections, seqs, state, status

from framelane.core.clock import SystemClock
from framelane.events.outbox import Entry, Outbox
from framelane.messages.detections import Message, as_replayed
from framelane.messages.event_queue import NoEvents
from framelane.messages.events import cleared_message, event_message, zone_message
from framelane.messages.reports import removed_message
from framelane.sinks.mqtt.send_queue import QueuedMessage, SendQueue
from framelane.sinks.mqtt.spool.backlog import Backlog
from framelane.sinks.mqtt.waker import Waker


class NoWaker(Waker):
    """Nobody waits."""

    def __init__(self) -> None:
        self._armed = False


def taken(outbox: SendQueue) -> list[QueuedMessage]:
    parcels = []
    while (parcel := outbox.take()) is not None:
        parcels.append(parcel)
    return parcels


@pytest.fixture
def backlog() -> Backlog:
    return Backlog(3, SystemClock())


@pytest.fixture
def outbox(backlog: Backlog) -> SendQueue:
    return SendQueue(backlog, NoEvents(), NoWaker(), SystemClock())


def test_outbox_drops_the_oldest_detections_when_it_is_full(outbox: SendQueue, backlog: Backlog) -> None:
    for seq in range(1, 6):
        outbox.put(detections(seq))
    assert (len(backlog), backlog.dropped.total()) == (3, 2)
    assert seqs([parcel.message.payload for parcel in taken(outbox)]) == [3, 4, 5]


def test_outbox_never_drops_states_for_detections(outbox: SendQueue) -> None:
    outbox.put(status())
    outbox.put(state())
    for seq in range(1, 10):
        outbox.put(detections(seq))
    assert [parcel.message.kind for parcel in taken(outbox)] == [
        "status",
        "state",
        "detections",
        "detections",
        "detections",
    ]


def test_outbox_keeps_the_newest_state_of_each_stream(outbox: SendQueue) -> None:
    newest = state("down", "lobby")
    for message in [state("live", "lobby"), state("live", "yard"), newest]:
        outbox.put(message)
    kept = [parcel.message for parcel in taken(outbox)]
    assert [message.stream for message in kept] == ["lobby", "yard"]
    assert newest is kept[0]


def test_outbox_gives_again_what_was_not_settled_and_all_that_is_retained(
    outbox: SendQueue, backlog: Backlog
) -> None:
    outbox.put(status())
    outbox.put(Message("stats", None, b"{}", retain=False))
    for seq in (1, 2, 3):
        outbox.put(detections(seq))
    parcels = taken(outbox)
    outbox.settle(parcels[2])  # detections 1
    outbox.put(detections(4))
    outbox.rewind()
    assert outbox.waiting()
    again = taken(outbox)
    assert [each.message.kind for each in again] == ["status", "detections", "detections", "detections"]
    assert seqs([parcel.message.payload for parcel in again[1:]]) == [2, 3, 4]
    for parcel in again:
        outbox.settle(parcel)
    assert (len(backlog), backlog.dropped.total(), outbox.waiting()) == (0, 0, False)


def test_outbox_sends_the_newer_state_after_a_reconnect(outbox: SendQueue) -> None:
    outbox.put(state("live"))
    taken(outbox)
    newer = state("down")
    outbox.put(newer)
    outbox.rewind()
    assert [newer] == [parcel.message for parcel in taken(outbox)]


def test_outbox_forgets_what_is_taken_back_when_the_broker_has_it(outbox: SendQueue) -> None:
    outbox.put(state())
    taken(outbox)
    outbox.put(Message("state", "lobby", b"", retain=True))
    assert len(taken(outbox)) == 1
    outbox.rewind()
    again = taken(outbox)
    assert [parcel.message.payload for parcel in again] == [b""], "it was not settled"
    outbox.settle(again[0])
    outbox.rewind()
    assert taken(outbox) == []


def test_outbox_keeps_what_came_after_it_was_taken_back(outbox: SendQueue) -> None:
    outbox.put(Message("state", "lobby", b"", retain=True))
    back = taken(outbox)
    newer = state()
    outbox.put(newer)
    outbox.settle(back[0])
    taken(outbox)
    outbox.rewind()
    assert [parcel.message for parcel in taken(outbox)] == [newer]


def test_outbox_takes_the_flight_back_on_top_of_what_it_holds(outbox: SendQueue, backlog: Backlog) -> None:
    for seq in (1, 2):
        outbox.put(detections(seq))
    taken(outbox)
    for seq in (3, 4, 5):
        outbox.put(detections(seq))
    assert len(backlog) == 5
    outbox.rewind()
    assert (len(backlog), backlog.dropped.total()) == (5, 0)
    outbox.put(detections(6))
    assert (len(backlog), backlog.dropped.total()) == (5, 1)
    assert seqs([parcel.message.payload for parcel in taken(outbox)]) == [2, 3, 4, 5, 6]
    for seq in (7, 8, 9, 10):  # with the flight gone for good, what it holds is its own again
        outbox.put(detections(seq))
    assert backlog.dropped.total() == 2


def test_removal_of_a_retained_message_is_sent_again_until_it_is_done_and_then_forgotten(
    outbox: SendQueue,
) -> None:
    removal = removed_message("lobby")
    outbox.put(state())
    outbox.put(removal)
    assert [parcel.message for parcel in taken(outbox)] == [removal]
    outbox.rewind()
    (parcel,) = taken(outbox)
    outbox.settle(parcel)
    outbox.rewind()
    assert taken(outbox) == []


def test_state_of_a_stream_that_returned_outlives_the_end_of_its_removal(outbox: SendQueue) -> None:
    outbox.put(removed_message("lobby"))
    (removal,) = taken(outbox)
    outbox.put(state())
    outbox.settle(removal)
    outbox.rewind()
    assert [parcel.message for parcel in taken(outbox)] == [state()]


@pytest.fixture
def events() -> Outbox:
    return Outbox(SystemClock())


def test_events_go_before_detections_which_get_every_fourth_place(backlog: Backlog, events: Outbox) -> None:
    queue = SendQueue(backlog, events, NoWaker(), SystemClock())
    queue.put(detections(1))
    queue.put(detections(2))
    queue.put(status())
    events.hold([Entry(event_message("gate-01", crossing(number), None), time.time()) for number in range(5)])
    assert not queue.empty()
    kinds = [parcel.message.kind for parcel in taken(queue)]
    assert kinds == ["status", *["events"] * 3, "detections", *["events"] * 2, "detections"]


def test_events_are_settled_and_rewound_where_they_wait(backlog: Backlog, events: Outbox) -> None:
    queue = SendQueue(backlog, events, NoWaker(), SystemClock())
    made = [event_message("gate-01", crossing(number), None) for number in range(2)]
    events.hold([Entry(message, time.time()) for message in made])
    first, _ = taken(queue)
    queue.settle(first)
    assert not queue.waiting()
    queue.rewind()
    assert queue.waiting()
    assert [parcel.message for parcel in taken(queue)] == [as_replayed(made[1])]


def test_retained_states_are_kept_by_topic(outbox: SendQueue) -> None:
    """Each label of a zone has its own."""
    states = [zone_message("gate-01", zone_state(label=label, count=1)) for label in ("person", "car")]
    newest = zone_message("gate-01", zone_state(label="car", count=2))
    for message in (*states, newest):
        outbox.put(message)
    assert [parcel.message for parcel in taken(outbox)] == [states[0], newest]
    outbox.rewind()
    gone = cleared_message("zones", "lobby", "yard/car")
    outbox.put(gone)
    parcels = taken(outbox)
    assert [parcel.message for parcel in parcels] == [states[0], gone]
    for parcel in parcels:
        outbox.settle(parcel)
    outbox.rewind()
    assert [parcel.message for parcel in taken(outbox)] == [states[0]]
