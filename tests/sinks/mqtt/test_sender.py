"""The thread that delivers: order over reconnects, the end, waits, and what consumers are told of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.sinks.examples import FAREWELL, ShiftedClock, detections, seqs, state, status
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

from framelane.sinks.mqtt import connection

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]


def test_sink_sends_again_in_order_what_was_in_flight(start: Start) -> None:
    manners = [Manner(ack=None, cut_after=3), Manner(ack=0)]
    with FakeBroker(manners) as broker:
        sink = start(broker.url, inflight=3)
        for seq in range(1, 6):
            sink.offer(detections(seq))
        got = broker.wait_for_publishes(8)
        wait_until(lambda: sink.health().delivered == 5)
    assert [publish.connection for publish in got] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert seqs([publish.payload for publish in got]) == [1, 2, 3, 1, 2, 3, 4, 5]
    assert sink.health().dropped == 0


def test_sink_sends_nothing_twice_that_was_acknowledged_before_the_end(start: Start) -> None:
    with FakeBroker([Manner(cut_after=3), Manner()]) as broker:
        sink = start(broker.url)
        for seq in (1, 2, 3):
            sink.offer(detections(seq))
        sink.watch.wait(connected=False)
        for seq in (4, 5):
            sink.offer(detections(seq))
        wait_until(lambda: sink.health().delivered == 5)
    assert seqs([publish.payload for publish in broker.publishes]) == [1, 2, 3, 4, 5]


def test_sink_publishes_states_again_with_each_connection(start: Start) -> None:
    with FakeBroker([Manner(cut_after=2), Manner()]) as broker:
        sink = start(broker.url)
        sink.offer(status())
        sink.offer(state())
        got = broker.wait_for_publishes(4)
    assert [publish.topic.rpartition("/")[2] for publish in got] == ["status", "state"] * 2


def test_sink_tries_once_more_when_it_stops_while_the_broker_is_away(start: Start) -> None:
    class Patient:
        def next_s(self) -> float:
            return 60.0

        def reset(self) -> None:
            """Stays patient."""

    with FakeBroker([Manner(code=0x88), Manner()]) as broker:
        sink = start(broker.url, backoff=Patient())
        sink.offer(detections(1))
        sink.watch.wait(connected=False)
        sink.stop(5.0, FAREWELL)
        assert [publish.topic.rpartition("/")[2] for publish in broker.publishes] == ["detections", "status"]
        wait_until(lambda: broker.disconnects == 1)
    assert sink.health().dropped == 0


def test_sink_is_overdue_when_its_thread_hangs_and_not_when_the_broker_is_away(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, polling, go_on = ShiftedClock(), threading.Event(), threading.Event()

    def hang(_link: object, _timeout_s: float) -> list[object]:
        polling.set()
        go_on.wait(60)
        return []

    with FakeBroker([Manner()]) as broker:
        absent = start("mqtt://127.0.0.1:1", clock=clock)
        absent.watch.wait(connected=False)
        with monkeypatch.context() as patched:
            patched.setattr(connection.BrokerConnection, "poll", hang)
            sink = start(broker.url, clock=clock)
            assert polling.wait(60)
            assert sink.health().overdue_s == 0.0
            clock.shift_s = 60.0
            assert 45.0 < sink.health().overdue_s <= 60.0
        go_on.set()
        wait_until(lambda: sink.health().overdue_s == 0.0)
        wait_until(lambda: absent.health().overdue_s == 0.0)
