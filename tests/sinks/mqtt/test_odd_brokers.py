from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.sinks.examples import FAREWELL, ShiftedClock, detections, seqs, state, status
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

from framelane.sinks.mqtt import connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]

RECEIVE_MAXIMUM_2 = b"\x21\x00\x02"
MAXIMUM_PACKET_1000 = b"\x27\x00\x00\x03\xe8"
MAXIMUM_QOS_0 = b"\x24\x00"
NO_RETAIN = b"\x25\x00"


def test_sink_gives_up_a_broker_that_never_answers(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_ACCEPT_S", 0.1)
    with FakeBroker([Manner(accept=False), Manner(accept=False), Manner()]) as broker, capture_logs() as logs:
        sink = start(broker.url)
        sink.offer(detections(1))
        assert "accepts connections and does not answer" in sink.watch.wait(connected=False)
        broker.wait_for_publishes(1)
        sink.watch.wait(connected=True)
    said = [log["event"] for log in logs if log["event"].startswith("sink_")]
    assert said[:2] == ["sink_failed", "sink_recovered"]  # two failures, one line


def test_sink_bounds_what_waits_when_the_broker_acknowledges_nothing(start: Start) -> None:
    with FakeBroker([Manner(ack=None)]) as broker:
        sink = start(broker.url, queue=10, inflight=4)
        for seq in range(1, 5):
            sink.offer(detections(seq))
        broker.wait_for_publishes(4)
        for seq in range(5, 35):
            sink.offer(detections(seq))
        assert (sink.health().queued, sink.health().dropped) == (14, 20)
        began_s = time.monotonic()
        sink.stop(0.3, FAREWELL)
        assert time.monotonic() - began_s < 1.0
        assert len(broker.publishes) == 4
        assert broker.disconnects == 0  # so that a real one would publish the Last Will
        assert (sink.health().delivered, sink.health().dropped) == (0, 34)


def test_sink_connects_again_when_nothing_is_acknowledged_for_long(start: Start) -> None:
    clock = ShiftedClock()
    with FakeBroker([Manner(ack=None), Manner()]) as broker:
        sink = start(broker.url, keepalive_s=5, clock=clock)
        sink.offer(detections(1))
        broker.wait_for_publishes(1)
        clock.shift_s = 11.0
        assert "acknowledges no message" in sink.watch.wait(connected=False)
        broker.wait_for_publishes(2)
        wait_until(lambda: sink.health().delivered == 1)


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


def test_sink_keeps_to_the_brokers_receive_maximum(start: Start) -> None:
    with FakeBroker([Manner(properties=RECEIVE_MAXIMUM_2, ack=None)]) as broker:
        sink = start(broker.url, inflight=256)
        sink.watch.wait(connected=True)
        for seq in range(1, 11):
            sink.offer(detections(seq))
        broker.wait_for_publishes(2)
        sink.stop(0.2, FAREWELL)
        assert len(broker.publishes) == 2


def test_sink_keeps_to_the_brokers_largest_packet(start: Start) -> None:
    big = detections(1)
    with FakeBroker([Manner(properties=MAXIMUM_PACKET_1000)]) as broker, capture_logs() as logs:
        sink = start(broker.url)
        sink.watch.wait(connected=True)
        object.__setattr__(big, "payload", b"x" * 2000)
        sink.offer(big)
        sink.offer(state())
        broker.wait_for_publishes(1)
        wait_until(lambda: sink.health().dropped == 1)
    assert any("and the broker allows 1000" in str(log.get("error")) for log in logs)


@pytest.mark.parametrize(("properties", "waits"), [(MAXIMUM_QOS_0, 0), (NO_RETAIN, 0)])
def test_sink_keeps_to_what_else_the_broker_can_do(start: Start, properties: bytes, waits: int) -> None:
    with FakeBroker([Manner(properties=properties)]) as broker:
        sink = start(broker.url)
        sink.offer(state())
        sink.offer(detections(1))
        broker.wait_for_publishes(2)
        wait_until(lambda: sink.health().queued == waits)


def test_sink_counts_what_the_broker_refuses(start: Start) -> None:
    with FakeBroker([Manner(ack=0x87)]) as broker, capture_logs() as logs:
        sink = start(broker.url)
        for seq in range(1, 4):
            sink.offer(detections(seq))
        wait_until(lambda: sink.health().dropped == 3)
        assert sink.health().connected
    refusals = [log for log in logs if log.get("reason") == "refused"]
    assert len(refusals) == 1
    assert (
        "did not take a message on framelane/gate-01/streams/lobby/detections: not authorized"
        in (refusals[0]["error"])
    )


@pytest.mark.parametrize("code", [0x84, 0x86, 0x88])
def test_sink_says_why_the_broker_refuses_it(start: Start, code: int) -> None:
    with FakeBroker([Manner(code=code)]) as broker:
        sink = start(broker.url)
        words = {0x84: "mqtt.protocol", 0x86: "mqtt.password_file", 0x88: "unavailable"}
        assert words[code] in sink.watch.wait(connected=False)


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


@pytest.mark.parametrize("aliases", [0, 5])
def test_packets_that_the_broker_allows_just_so_are_sent_and_no_larger_ones(
    start: Start, aliases: int
) -> None:
    most = 1600
    manner = Manner(properties=b"\x27" + most.to_bytes(4, "big"), alias_maximum=aliases)
    with FakeBroker([manner]) as broker, capture_logs() as logs:
        sink = start(broker.url)
        sink.watch.wait(connected=True)
        for seq, size in enumerate(range(1300, 1600)):
            message = detections(seq, "ab"[seq % 2])
            object.__setattr__(message, "payload", b"x" * size)
            sink.offer(message)
        wait_until(lambda: sink.health().queued == 0)
        sizes = [publish.size for publish in broker.publishes]
        assert max(sizes) == most
        assert len(sizes) + sink.health().dropped_by["refused"] == 300
        beside = most - max(len(publish.payload) for publish in broker.publishes)
        assert len(sizes) == sum(size + beside <= most for size in range(1300, 1600))
        assert beside < 130
    refusals = [log["error"] for log in logs if log.get("reason") == "refused"]
    assert len(refusals) == 2  # one for each topic
    assert all("and the broker allows 1600" in refusal for refusal in refusals)
    assert f"its packet has {most + 1} bytes" in refusals[0]


def test_unknown_reason_codes_below_0x80_are_taken_for_success(start: Start) -> None:
    """As mochi 2.7.9 acknowledges: with 0x01 and our own user properties."""
    manner = Manner(ack=0x01, ack_properties=b"\x08\x26\x00\x01a\x00\x02bc")
    with FakeBroker([manner]) as broker, capture_logs() as logs:
        sink = start(broker.url)
        for seq in range(1, 101):
            sink.offer(detections(seq))
        wait_until(lambda: sink.health().delivered == 100)
        assert seqs([publish.payload for publish in broker.publishes]) == list(range(1, 101))
    said = [log["text"] for log in logs if log["event"] == "mqtt_limited"]
    assert len(said) == 1
    assert 'set mqtt.protocol: "3.1.1"' in said[0]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("answer", "packet"), [(b"\x40\x01\x00", "PUBACK"), (b"\xf0\x00", "unknown")])
def test_packet_that_we_cannot_read_is_told_and_duplicates_stay_few(
    start: Start, answer: bytes, packet: str
) -> None:
    with FakeBroker([Manner(ack=None, hates=lambda _: True, last_word=answer)]) as broker:
        sink = start(broker.url)
        for seq in range(1, 101):
            sink.offer(detections(seq))
        said = sink.watch.wait(connected=False, text=f"could not accept the broker's {packet} packet")
        assert 'mqtt.protocol: "3.1.1"' in said
        assert "the broker says" not in said
        sink.watch.wait(connected=True, text="has taken none so far")
        came = seqs([publish.payload for publish in broker.hated])
        assert max(came.count(seq) for seq in came) <= 5
        assert (sink.health().dropped, sink.health().queued) == (0, 100)
        time.sleep(3.0)
        assert len(broker.hated) == len(came)  # what can't be delivered does not go on and on
        assert sink.watch.seen[-1][1]
