"""The queue to the journal's thread is bounded, and loses what costs least."""

from __future__ import annotations

import threading

import pytest
from tests.events.examples import event

from framelane.core.events import Occupancy
from framelane.events import inbox as module
from framelane.events.inbox import Conclusion, Inbox, StreamNews, WorkerLost


def count(number: int, label: str = "person") -> Occupancy:
    return Occupancy("lobby", "yard", label, number, 0.0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Inbox:
    """An inbox with room for three."""
    monkeypatch.setattr(module, "_MOST", 3)
    return Inbox()


def test_items_come_in_order_and_the_thread_is_woken_for_the_rest() -> None:
    inbox = Inbox()
    items = [event(1), StreamNews("lobby", "live"), count(1), WorkerLost(("lobby",))]
    inbox.happened([items[0]])  # type: ignore[list-item] # an event
    inbox.add(items[1])  # type: ignore[arg-type] # news
    inbox.happened([items[2]])  # type: ignore[list-item] # a count
    inbox.add(items[3])  # type: ignore[arg-type] # news
    assert inbox.news.is_set()
    inbox.news.clear()
    assert inbox.take(3) == items[:3]
    assert inbox.news.is_set()
    inbox.news.clear()
    assert inbox.take(3) == items[3:]
    assert not inbox.news.is_set()


def test_full_inbox_drops_the_newest_events_and_counts_them(small: Inbox) -> None:
    small.happened([event(1), event(2)])
    small.happened([event(3), event(4), event(5)])
    small.lost(10)
    assert small.take(10) == [event(1), event(2), event(3)]
    assert small.dropped == 12


def test_full_inbox_keeps_the_newest_count_of_each_label_behind_the_rest(small: Inbox) -> None:
    small.happened([event(1), event(2), event(3), count(1), count(2, "car")])
    small.happened([count(5), event(4)])
    assert small.take(2) == [event(1), event(2)]
    assert small.take(2) == [event(3), count(5), count(2, "car")]
    assert small.take(2) == []
    assert small.dropped == 1


def test_news_always_fits(small: Inbox) -> None:
    small.happened([event(number) for number in range(5)])
    conclusion = Conclusion(threading.Event())
    small.add(conclusion)
    assert small.take(10)[-1] is conclusion
