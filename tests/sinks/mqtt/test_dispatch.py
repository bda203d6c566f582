"""What goes out on a connection, what waits for the next one, and what is counted as refused."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.sinks.examples import ShiftedClock, detections, seqs, status
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

from framelane.config.sections.mqtt import MqttConfig
from framelane.messages.event_queue import NoEvents
from framelane.sinks.mqtt.broker import Broker
from framelane.sinks.mqtt.connection import BrokerConnection
from framelane.sinks.mqtt.dispatch import Dispatch
from framelane.sinks.mqtt.errors import BrokerError
from framelane.sinks.mqtt.inflight import Ask
from framelane.sinks.mqtt.publish_headers import PublishHeaders
from framelane.sinks.mqtt.send_queue import SendQueue
from framelane.sinks.mqtt.spool.backlog import Backlog
from framelane.sinks.mqtt.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]


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


class Line:
    """A dispatch on a connection that is open; there is no thread."""

    def __init__(self, broker: FakeBroker, **config: Any) -> None:
        self.config = MqttConfig(url=broker.url, **config)
        self.clock = ShiftedClock()
        self.waker = Waker()
        self.queue = SendQueue(Backlog(100, self.clock), NoEvents(), self.waker, self.clock)
        headers = PublishHeaders(self.config, "gate-01")
        self.dispatch = Dispatch(self.queue, headers, self.clock, retain=self.config.retain)

    @contextmanager
    def connected(self) -> Iterator[BrokerConnection]:
        made = BrokerConnection(
            Broker(self.config, "gate-01"), self.config, None, Ask(), self.clock, self.waker
        )
        try:
            made.open()
            self.dispatch.began(made)
            yield made
        finally:
            made.close(clean=False)

    def settle(self, connection: BrokerConnection) -> None:
        """Poll until nothing is in flight."""

        def settled() -> bool:
            self.dispatch.settle(connection.poll(0.05), connection)
            return not connection.in_flight

        wait_until(settled)


@pytest.fixture
def make() -> Iterator[Callable[..., Line]]:
    with ExitStack() as stack:

        def made(broker: FakeBroker, **config: Any) -> Line:
            line = Line(broker, **config)
            stack.callback(line.waker.close)
            return line

        yield made


def test_as_many_go_out_as_there_is_room_for(make: Callable[..., Line]) -> None:
    with FakeBroker([Manner()]) as broker:
        line = make(broker, inflight=2)
        for seq in range(1, 6):
            line.queue.put(detections(seq))
        with line.connected() as connection:
            assert line.dispatch.ready(connection)
            assert line.dispatch.send(connection)
            assert (connection.in_flight, line.dispatch.ready(connection)) == (2, False)
            assert not line.dispatch.send(connection)
            while not line.queue.empty():
                line.settle(connection)
                line.dispatch.send(connection)
        assert seqs([each.payload for each in broker.publishes]) == [1, 2, 3, 4, 5]
    assert (line.dispatch.delivered, line.dispatch.retry_after_s()) == (5, float("inf"))


def test_farewell_goes_out_beside_the_queue(make: Callable[..., Line]) -> None:
    with FakeBroker([Manner()]) as broker:
        line = make(broker)
        with line.connected() as connection:
            line.dispatch.send_last(status("offline", "stopping"), connection)
            line.settle(connection)
        (came,) = broker.publishes
    assert (came.topic, came.retain, came.json["state"]) == ("framelane/gate-01/status", True, "offline")


def test_what_a_broker_can_not_do_is_logged_once_for_all_connections(make: Callable[..., Line]) -> None:
    with FakeBroker([Manner(properties=b"\x25\x00\x24\x00")]) as broker, capture_logs() as logs:
        line = make(broker)
        for _ in range(2):
            with line.connected():
                pass
    assert [log["text"].partition(":")[0] for log in logs] == [
        "the broker does not accept retained messages",
        "the broker accepts only QoS 0",
    ]


def test_end_that_has_nothing_to_do_with_a_message_suspects_none(make: Callable[..., Line]) -> None:
    with FakeBroker([Manner()]) as broker:
        line = make(broker)
        with line.connected() as connection:
            line.queue.put(detections(1))
            line.dispatch.send(connection)
            text = line.dispatch.lost(BrokerError("taken_over", "another client"), connection)
        assert (text, line.dispatch.found, line.dispatch.vain, line.dispatch.trouble) == (None, False, 0, "")
