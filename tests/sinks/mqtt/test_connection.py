"""One connection with brokers that stay silent, refuse, allow little, or hang up: what it says and what it settles."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.sinks.examples import FAREWELL, ShiftedClock, detections, seqs, state
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

from framelane.config.sections.mqtt import MqttConfig
from framelane.sinks.mqtt import connection
from framelane.sinks.mqtt.broker import Broker
from framelane.sinks.mqtt.connection import BrokerConnection
from framelane.sinks.mqtt.errors import BrokerError
from framelane.sinks.mqtt.inflight import Ask, How
from framelane.sinks.mqtt.publish_headers import PublishHeaders
from framelane.sinks.mqtt.send_queue import QueuedMessage
from framelane.sinks.mqtt.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sinks.conftest import WatchedSink

    from framelane.messages.detections import Message
    from framelane.sinks.mqtt.inflight import Sent, Settled

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


@pytest.mark.parametrize("code", [0x84, 0x86, 0x88])
def test_sink_says_why_the_broker_refuses_it(start: Start, code: int) -> None:
    with FakeBroker([Manner(code=code)]) as broker:
        sink = start(broker.url)
        words = {0x84: "mqtt.protocol", 0x86: "mqtt.password_file", 0x88: "unavailable"}
        assert words[code] in sink.watch.wait(connected=False)


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


class Listener:
    """Subscribes to two topics, and keeps what comes of it."""

    topics = ("homeassistant/status", "other/#")

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def heard(self, topic: str, payload: bytes) -> None:
        self.said.append((topic, payload.decode()))

    def denied(self, topic: str, text: str) -> None:
        self.said.append((topic, text))


class Line:
    """A connection without a sink around it."""

    def __init__(
        self, url: str, *, ask: Ask | None = None, listener: Listener | None = None, **config: Any
    ) -> None:
        self.config = MqttConfig(url=url, **config)
        self.waker = Waker()
        self.clock = ShiftedClock()
        self.headers = PublishHeaders(self.config, "gate-01")
        self.connection = BrokerConnection(
            Broker(self.config, "gate-01"), self.config, None, ask or Ask(), self.clock, self.waker, listener
        )

    def publish(self, message: Message, how: How | None = None) -> Sent | None:
        return self.connection.publish(QueuedMessage(message), self.headers.of(message), how)

    def settled(self, count: int) -> list[Settled]:
        """Poll until so much has been settled."""
        found: list[Settled] = []

        def enough() -> bool:
            found.extend(self.connection.poll(0.05))
            return len(found) >= count

        wait_until(enough)
        return found

    def end(self) -> BrokerError:
        """Poll until the connection ends; return why."""
        ends: list[BrokerError] = []

        def ended() -> bool:
            try:
                self.connection.poll(0.05)
            except BrokerError as error:
                ends.append(error)
            return bool(ends)

        wait_until(ended)
        return ends[0]

    def close(self) -> None:
        self.connection.close(clean=False)
        self.waker.close()


@pytest.fixture
def dial() -> Iterator[Callable[..., Line]]:
    """Makes connections that are not yet open, and closes them."""
    lines: list[Line] = []

    def dialled(url: str, **options: Any) -> Line:
        lines.append(Line(url, **options))
        return lines[-1]

    yield dialled
    for line in lines:
        line.close()


Dial = Callable[..., Line]


def test_room_is_taken_by_what_is_published_and_freed_by_its_answer(dial: Dial) -> None:
    with FakeBroker([Manner()]) as broker:
        line = dial(broker.url, inflight=3)
        line.connection.open()
        assert (line.connection.room, line.connection.in_flight) == (3, 0)
        for seq in (1, 2, 3):
            line.publish(detections(seq))
        assert (line.connection.room, line.connection.in_flight) == (0, 3)
        assert [each.refusal for each in line.settled(3)] == [None, None, None]
        assert (line.connection.room, line.connection.in_flight) == (3, 0)


def test_what_was_settled_is_returned_before_the_end_is_raised(dial: Dial) -> None:
    """Or messages that have been sent would be sent again."""
    with FakeBroker([Manner()]) as broker:
        line = dial(broker.url)
        line.connection.open()
        broker.drop_all()
        sock = line.connection._client.socket()
        assert sock is not None
        assert select.select([sock.fileno()], [], [], 60)[0]
        # Written, and so settled, in the same turn in which the end is read.
        line.publish(detections(1), How(0, retain=False))
        assert [each.refusal for each in line.connection.poll(0.05)] == [None]
        assert line.end().reason == "lost"


def test_messages_that_no_answer_comes_for_may_be_the_reason_of_an_end(dial: Dial) -> None:
    with FakeBroker([Manner(ack=None)]) as broker:
        line = dial(broker.url)
        line.connection.open()
        line.publish(detections(1), How(0, retain=False))
        line.publish(detections(2))
        (sent,) = line.settled(1)
        assert (sent.sent.qos, sent.refusal) == (0, None)
        assert seqs([each.queued.message.payload for each in line.connection.unsettled]) == [2, 1]
        broker.drop_all()
        size = line.connection.unsettled[0].size
        assert f"{size} bytes on framelane/gate-01/streams/lobby/detections" in str(line.end())


def test_packet_above_the_brokers_limit_is_refused_without_being_sent(dial: Dial) -> None:
    with FakeBroker([Manner(properties=MAXIMUM_PACKET_1000)]) as broker:
        line = dial(broker.url)
        line.connection.open()
        big = replace(detections(1), payload=b"x" * 2000)
        assert line.publish(big) is None
        ((sent, refusal),) = line.settled(1)
        size = line.connection.packet_bytes(big, line.headers.of(big))
        assert (sent.size, refusal) == (size, f"its packet has {size} bytes, and the broker allows 1000")
        assert line.connection.in_flight == 0
        assert broker.publishes == []


def test_broker_that_can_less_gets_less(dial: Dial) -> None:
    with FakeBroker([Manner(properties=MAXIMUM_QOS_0 + NO_RETAIN)]) as broker:
        line = dial(broker.url)
        assert (line.connection.most_qos, line.connection.may_retain) == (2, True)
        line.connection.open()
        assert (line.connection.most_qos, line.connection.may_retain) == (0, False)
        line.publish(state())
        line.settled(1)
        (came,) = broker.wait_for_publishes(1)
        assert (came.qos, came.retain) == (0, False)


def test_second_message_of_a_topic_is_smaller_by_its_name(dial: Dial) -> None:
    with FakeBroker([Manner(alias_maximum=1)]) as broker:
        line = dial(broker.url)
        line.connection.open()
        sizes = []
        for seq in (1, 2):
            message = detections(seq)
            expected = line.connection.packet_bytes(message, line.headers.of(message))
            sent = line.publish(message)
            sizes.append((expected, sent and sent.size))
        line.settled(2)
        came = broker.wait_for_publishes(2)
    assert [(publish.size, publish.size) for publish in came] == sizes
    assert [bool(publish.topic) for publish in came] == [True, False]
    assert {publish.alias for publish in came} == {1}


@pytest.mark.parametrize(("clean", "disconnects"), [(True, 1), (False, 0)])
def test_only_a_clean_close_says_goodbye(dial: Dial, disconnects: int, *, clean: bool) -> None:
    """Otherwise the broker would not publish the Last Will."""
    with FakeBroker([Manner(), Manner()]) as broker:
        line = dial(broker.url)
        line.connection.open()
        line.connection.close(clean=clean)
        line.connection.close(clean=clean)
        # The broker takes one connection after the other, so it is done with the first.
        dial(broker.url).connection.open()
        assert broker.disconnects == disconnects


def test_listener_is_told_which_of_its_topics_are_refused(dial: Dial) -> None:
    listener = Listener()
    with FakeBroker([Manner(suback=b"\x01\x87")]) as broker:
        line = dial(broker.url, listener=listener)
        line.connection.open()
        wait_until(lambda: line.connection.poll(0.05) == [] and bool(listener.said))
    ((topic, text),) = listener.said
    assert topic == "other/#"
    assert text.startswith("not authorized")


def test_broker_that_nobody_runs_is_unreachable(dial: Dial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(BrokerError) as found:
        dial(f"mqtt://127.0.0.1:{port}").connection.open()
    assert str(found.value).startswith(f"mqtt://127.0.0.1:{port}: ")
    assert found.value.reason == "refused"


def test_poll_ends_at_once_when_another_thread_has_a_message(dial: Dial) -> None:
    with FakeBroker([Manner()]) as broker:
        line = dial(broker.url)
        line.connection.open()
        line.waker.arm()
        threading.Timer(0.05, line.waker.wake).start()
        began_s = time.monotonic()
        assert line.connection.poll(60.0) == []
        # Without the waker, the connection itself looks after a second.
        assert time.monotonic() - began_s < 0.9
