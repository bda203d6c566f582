"""Brokers that refuse what a connection asks for get less; all others get it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Subscriber
from tests.sinks.examples import ShiftedClock, detections, seqs, state, status
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]

WILL, WILL_QOS, WILL_RETAIN = 0x04, 0x18, 0x20
WHOLE = WILL | 0x08 | WILL_RETAIN


def will_of(flags: int) -> int:
    return flags & (WILL | WILL_QOS | WILL_RETAIN)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (MosquittoOptions(retain=False), ["does not accept retained messages"]),
        (MosquittoOptions(most_qos=0), ["accepts only QoS 0"]),
        (
            MosquittoOptions(retain=False, most_qos=0),
            ["does not accept retained messages", "accepts only QoS 0"],
        ),
        (MosquittoOptions(most_qos=1), []),
    ],
)
def test_broker_that_allows_less_gets_results_and_states(
    tmp_path: Path, start: Start, protocol: str, options: MosquittoOptions, said: list[str]
) -> None:
    with (
        Mosquitto(tmp_path, options) as broker,
        Subscriber(broker.url, "framelane/#", qos=0) as subscriber,
        capture_logs() as logs,
    ):
        sink = start(broker.url, protocol=protocol)
        sink.offer(status())
        sink.offer(state())
        for seq in range(1, 6):
            sink.offer(detections(seq))
        received = subscriber.wait_for_count(7)
        assert {each.topic.rpartition("/")[2] for each in received[:2]} == {"status", "state"}
        assert seqs([each.payload for each in received[2:]]) == [1, 2, 3, 4, 5]
        for life in range(2):  # and it is told once, not with each connection
            broker.restart()
            sink.watch.wait(connected=True, count=life + 2)
    limits = [log["text"] for log in logs if log["event"] == "mqtt_limited"]
    assert len(limits) == len(said)
    assert all(words in text for words, text in zip(said, limits, strict=True))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_node_that_retains_nothing_reaches_a_broker_that_keeps_nothing_at_once(
    tmp_path: Path, start: Start, protocol: str
) -> None:
    with (
        Mosquitto(tmp_path, MosquittoOptions(retain=False)) as broker,
        Subscriber(broker.url, "framelane/#") as subscriber,
        capture_logs() as logs,
    ):
        sink = start(broker.url, protocol=protocol, retain=False)
        sink.offer(state())
        assert not subscriber.wait_for_count(1)[0].retain
    assert [log["event"] for log in logs] == ["mqtt_connected"]


def test_will_that_is_not_retained_is_published(tmp_path: Path, start: Start) -> None:
    with (
        Mosquitto(tmp_path, MosquittoOptions(retain=False)) as broker,
        Subscriber(broker.url, "framelane/#") as subscriber,
    ):
        sink = start(broker.url, protocol="3.1.1")
        sink.watch.wait(connected=True)
        sink.stop(0.2, None)
        assert not [each for each in subscriber.messages if each.json["state"] == "offline"]
        second = start(broker.url, protocol="3.1.1")
        second.watch.wait(connected=True)
        second._sender._route.negotiation.close()  # without a goodbye
        assert subscriber.wait_for(lambda each: each.json["reason"] == "lost").json["state"] == "offline"


@pytest.mark.parametrize("closed", [1, 2, 3, 4, 5, 6])
def test_broker_that_closed_connections_only_while_it_started_gets_the_whole_will(
    start: Start, closed: int
) -> None:
    manners = [*[Manner(hang_up=lambda _: True)] * closed, Manner()]
    with FakeBroker(manners) as broker, capture_logs() as logs:
        sink = start(broker.url, protocol="3.1.1")
        sink.offer(state())
        assert broker.wait_for_publishes(1)[0].retain
        assert will_of(broker.flags[-1]) == WHOLE
        assert "if it expects TLS there" in sink.watch.wait(connected=False)
    assert not any(log["event"] == "mqtt_limited" for log in logs)


@pytest.mark.parametrize(
    ("refuses", "accepted", "retain", "qos"),
    [
        (lambda flags: flags & WILL_RETAIN, WILL | 0x08, False, 1),
        (lambda flags: flags & WILL_QOS, WILL | WILL_RETAIN, True, 0),
        (lambda flags: flags & (WILL_QOS | WILL_RETAIN), WILL, False, 0),
        (lambda flags: flags & WILL, 0, True, 1),
    ],
)
@pytest.mark.parametrize("closed", [0, 1, 2, 3])
def test_will_is_reduced_as_far_as_the_broker_wants_and_no_further(
    start: Start, refuses: Callable[[int], bool], accepted: int, qos: int, closed: int, *, retain: bool
) -> None:
    manners = [*[Manner(hang_up=lambda _: True)] * closed, Manner(hang_up=refuses)]
    with FakeBroker(manners) as broker, capture_logs() as logs:
        sink = start(broker.url, protocol="3.1.1")
        sink.offer(state())
        came = broker.wait_for_publishes(1)[0]
        assert (will_of(broker.flags[-1]), came.retain, came.qos) == (accepted, retain, qos)
    limits = [log["text"].split(":")[0] for log in logs if log["event"] == "mqtt_limited"]
    assert ("the broker accepts no Last Will" in limits) == (accepted == 0)
    assert ("the broker does not accept retained messages" in limits) == (not retain)
    assert ("the broker accepts only QoS 0" in limits) == (qos == 0)


def test_whole_will_is_tried_again_after_ten_minutes(start: Start) -> None:
    clock = ShiftedClock()
    with FakeBroker([Manner(hang_up=lambda flags: bool(flags & WILL_RETAIN))]) as broker:
        sink = start(broker.url, protocol="3.1.1", clock=clock)
        sink.watch.wait(connected=True)
        assert will_of(broker.flags[-1]) == WILL | 0x08
        broker.manners = [Manner()]
        broker.drop_all()
        sink.watch.wait(connected=True, count=2)
        assert will_of(broker.flags[-1]) == WILL | 0x08
        clock.shift_s += 601
        broker.drop_all()
        wait_until(lambda: will_of(broker.flags[-1]) == WHOLE)
