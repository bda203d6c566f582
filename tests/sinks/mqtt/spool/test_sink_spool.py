from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Subscriber
from tests.sinks.examples import FAREWELL, Gate, detections, seqs
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.spool import SpoolConfig
from framelane.core.clock import SystemClock
from framelane.sinks.mqtt import id_conflict
from framelane.sinks.mqtt.sink import MqttSink
from framelane.sinks.mqtt.spool.location import SpoolLocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]

QUICK = SpoolConfig(sync_ms=100)
STREAMS = [f"cam{number:02d}" for number in range(16)]
RESULTS = 300  # of each stream, in the outage
LOSSLESS = MosquittoOptions(lossless=True)


@pytest.fixture
def place(tmp_path: Path) -> SpoolLocation:
    return SpoolLocation(tmp_path / "spool" / "gate-01")


def spooled(sink: MqttSink) -> int:
    spool = sink.health().spool
    assert spool is not None
    return spool.messages


def taken_on_disk(sink: MqttSink) -> int:
    spool = sink.health().spool
    return 0 if spool is None else spool.disk_bytes


def trouble(sink: MqttSink) -> str | None:
    spool = sink.health().spool
    return None if spool is None else spool.trouble


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that break soon are made again at once, as if nobody suspected another client of the same id."""
    monkeypatch.setattr(id_conflict, "_FIRST_S", 0.05)
    monkeypatch.setattr(id_conflict, "_MOST_S", 0.1)


def by_lane(bodies: Iterable[Any]) -> dict[tuple[str, bool], list[int]]:
    """Numbers in the order of arrival, by stream and by whether they were replayed."""
    lanes = defaultdict(list)
    for body in bodies:
        lanes[body["stream"], body["replayed"]].append(body["seq"])
    return lanes


def test_no_result_is_lost_in_an_outage(tmp_path: Path, place: SpoolLocation, start: Start) -> None:
    gate = Gate()
    with Mosquitto(tmp_path / "broker", LOSSLESS) as broker:
        broker.stop()
        sink = start(broker.url, spool=SpoolConfig(sync_ms=1000), place=place, backoff=gate, queue=1000)
        most_in_memory = 0
        for seq in range(1, RESULTS + 1):
            for stream in STREAMS:
                sink.offer(detections(seq, stream))
            most_in_memory = max(most_in_memory, sink._backlog.in_memory())
            time.sleep(0.003)
        wait_until(lambda: spooled(sink) == RESULTS * len(STREAMS))
        assert most_in_memory < 1000
        broker.start()
        with Subscriber(broker.url, "framelane/#") as subscriber:
            gate.open()
            for seq in range(RESULTS + 1, RESULTS + 21):
                for stream in STREAMS:
                    sink.offer(detections(seq, stream))
            received = subscriber.wait_for_count((RESULTS + 20) * len(STREAMS), 60)
            wait_until(lambda: sink.health().queued == 0)
        bodies = [message.json for message in received]
    lanes = by_lane(bodies)
    for stream in STREAMS:
        live, replayed = lanes[stream, False], lanes[stream, True]
        assert replayed[:RESULTS] == list(range(1, RESULTS + 1))
        # On a busy host some new ones wait so long that they go to disk too.
        assert replayed[RESULTS:] == sorted(replayed[RESULTS:])
        assert live == sorted(live)
        assert sorted(live + replayed) == list(range(1, RESULTS + 21))
    assert len(bodies) == (RESULTS + 20) * len(STREAMS)  # nothing twice
    last_new = max(index for index, body in enumerate(bodies) if not body["replayed"])
    assert last_new < len(bodies) / 2  # new results don't wait for the replay
    assert bodies[0]["captured_at"] == "2026-11-22T09:00:00.123456Z"
    assert (sink.health().dropped, spooled(sink)) == (0, 0)


def test_nothing_is_replayed_and_nothing_written_while_the_broker_is_quick(
    broker: Mosquitto, place: SpoolLocation, start: Start
) -> None:
    sink = start(broker.url, spool=SpoolConfig(sync_ms=5000), place=place)
    sink.watch.wait(connected=True)
    wait_until(lambda: taken_on_disk(sink) > 0)
    files = sorted(place.folder.iterdir())
    before = [path.stat().st_mtime_ns for path in files]
    with Subscriber(broker.url, "framelane/#") as subscriber:
        for seq in range(1, 201):
            sink.offer(detections(seq))
        received = subscriber.wait_for_count(200)
        wait_until(lambda: sink.health().queued == 0)
    assert not any(message.json["replayed"] for message in received)
    assert before == [path.stat().st_mtime_ns for path in files]


def test_next_start_delivers_what_the_last_one_could_not(
    tmp_path: Path, place: SpoolLocation, start: Start
) -> None:
    with Mosquitto(tmp_path / "broker", LOSSLESS) as broker:
        broker.stop()
        first = start(broker.url, spool=QUICK, place=place)
        for seq in range(1, 51):
            first.offer(detections(seq))
        first.stop(1.0, FAREWELL)
        assert (spooled(first), first.health().dropped) == (50, 0)
        broker.start()
        with Subscriber(broker.url, "framelane/+/streams/#") as subscriber:
            second = start(broker.url, spool=QUICK, place=place)
            received = subscriber.wait_for_count(50)
    assert seqs([message.payload for message in received]) == list(range(1, 51))
    assert {(message.json["replayed"], message.json["run"]) for message in received} == {(True, "run-1")}
    wait_until(lambda: second.health().queued == 0)


@pytest.mark.usefixtures("at_once")
def test_broker_that_cuts_off_again_and_again_gets_every_result(place: SpoolLocation, start: Start) -> None:
    manners = [Manner(cut_after=40, ack=None if number % 3 else 0) for number in range(20)]
    with FakeBroker([*manners, Manner()]) as broker:
        sink = start(broker.url, spool=QUICK, place=place, inflight=64)
        for seq in range(1, 1001):
            sink.offer(detections(seq, STREAMS[seq % 2]))
            time.sleep(0.002)
        wait_until(lambda: sink.health().queued == 0)
        bodies = [(each.connection, each.json) for each in broker.publishes]
    assert len({connection for connection, _ in bodies}) > 10
    assert {body["seq"] for _, body in bodies} == set(range(1, 1001))
    connections = defaultdict(list)
    for connection, body in bodies:
        connections[connection].append(body)
    for sent in connections.values():
        for numbers in by_lane(sent).values():
            assert numbers == sorted(numbers)
    assert sink.health().dropped == 0


@pytest.mark.usefixtures("at_once")
def test_connection_that_breaks_again_and_again_costs_no_result(
    tmp_path: Path, place: SpoolLocation, start: Start
) -> None:
    with (
        Mosquitto(tmp_path / "broker", LOSSLESS) as broker,
        Subscriber(broker.url, "framelane/+/streams/#") as subscriber,
    ):
        sink = start(broker.url, spool=QUICK, place=place, client_id="same")
        for seq in range(1, 1201):
            sink.offer(detections(seq, STREAMS[seq % 16]))
            if seq % 200 == 0:
                take_over(broker, "same")
            time.sleep(0.002)
        wait_until(lambda: sink.health().queued == 0)
        subscriber.wait_for(lambda message: message.json["seq"] == 1200)
        wait_until(lambda: {message.json["seq"] for message in subscriber.messages} == set(range(1, 1201)))
    assert sum(not connected for connected, _ in sink.watch.seen) >= 4
    assert sink.health().dropped == 0


@pytest.mark.usefixtures("at_once")
def test_broker_that_restarts_every_two_seconds_gets_every_result(
    tmp_path: Path, place: SpoolLocation, start: Start
) -> None:
    options = MosquittoOptions(lossless=True, persistence=True)
    with (
        Mosquitto(tmp_path / "broker", options) as broker,
        Subscriber(broker.url, "framelane/+/streams/#", client_id="consumer", session_s=600) as subscriber,
    ):
        sink = start(broker.url, spool=QUICK, place=place)
        seq = 0
        for _ in range(4):
            for turn in (broker.stop, broker.start):
                turned_s = time.monotonic() + 1.0
                while time.monotonic() < turned_s:
                    seq += 1
                    for stream in STREAMS:
                        sink.offer(detections(seq, stream))
                    time.sleep(0.02)
                turn()
        wait_until(lambda: sink.health().queued == 0)
        wanted = {(stream, number) for stream in STREAMS for number in range(1, seq + 1)}
        subscriber.wait_for_count(len(wanted), 60)
        wait_until(
            lambda: wanted == {(each.json["stream"], each.json["seq"]) for each in subscriber.messages}
        )
        replayed = [message for message in subscriber.messages if message.json["replayed"]]
    assert sum(connected for connected, _ in sink.watch.seen) >= 4
    assert sink.health().dropped == 0
    assert replayed


def take_over(broker: Mosquitto, client_id: str) -> None:
    """Have the broker end a client's connection, by coming with its name."""
    with Subscriber(broker.url, "none", client_id=client_id):
        return


def test_stop_delivers_what_is_on_disk_too(tmp_path: Path, place: SpoolLocation, start: Start) -> None:
    gate = Gate()
    with Mosquitto(tmp_path / "broker", LOSSLESS) as broker:
        broker.stop()
        sink = start(broker.url, spool=QUICK, place=place, backoff=gate)
        for seq in range(1, 2001):
            sink.offer(detections(seq))
        wait_until(lambda: spooled(sink) == 2000)
        broker.start()
        with Subscriber(broker.url, "framelane/#") as subscriber:
            gate.open()
            sink.watch.wait(connected=True)
            sink.stop(20.0, FAREWELL)
            received = subscriber.wait_for_count(2001)
    assert seqs([message.payload for message in received[:-1]]) == list(range(1, 2001))
    assert received[-1].json["state"] == "offline"
    assert spooled(sink) == 0


def test_broker_that_acknowledges_nothing_costs_no_result(place: SpoolLocation, start: Start) -> None:
    with FakeBroker([Manner(ack=None)]) as broker:
        sink = start(broker.url, spool=QUICK, place=place, inflight=8)
        for seq in range(1, 501):
            sink.offer(detections(seq))
            time.sleep(0.001)
        wait_until(lambda: spooled(sink) == 500)
        sink.stop(0.5, FAREWELL)
        assert len(broker.publishes) == 8
        assert sink.health().dropped == 0
    with FakeBroker([Manner()]) as broker:
        start(broker.url, spool=QUICK, place=place)
        got = broker.wait_for_publishes(500)
    assert seqs([publish.payload for publish in got]) == list(range(1, 501))
    assert {publish.json["replayed"] for publish in got} == {True}


def test_spool_that_can_not_be_used_leaves_the_bounded_queue(tmp_path: Path, start: Start) -> None:
    (tmp_path / "file").touch()
    gate = Gate()
    with FakeBroker([Manner(code=0x88), Manner()]) as broker:
        sink = start(broker.url, spool=QUICK, place=SpoolLocation(tmp_path / "file"), queue=5, backoff=gate)
        sink.watch.wait(connected=False)
        for seq in range(1, 9):
            sink.offer(detections(seq))
        wait_until(lambda: trouble(sink) is not None)
        assert (sink.health().queued, sink.health().dropped_by["queue"], sink.health().full) == (5, 3, True)
        gate.open()
        assert seqs([publish.payload for publish in broker.wait_for_publishes(5)]) == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("expiry_s", [0, 60])
def test_replayed_messages_live_as_long_as_they_have_left(
    tmp_path: Path, place: SpoolLocation, start: Start, expiry_s: int
) -> None:
    gate = Gate()
    with Mosquitto(tmp_path / "broker") as broker:
        broker.stop()
        sink = start(broker.url, spool=QUICK, place=place, backoff=gate, expiry_s=expiry_s)
        sink.offer(detections(1))
        wait_until(lambda: spooled(sink) == 1)
        time.sleep(2.1)
        broker.start()
        with Subscriber(broker.url, "framelane/#") as subscriber:
            gate.open()
            properties: Any = subscriber.wait_for(lambda message: message.json["replayed"]).properties
    left_s: Any = getattr(properties, "MessageExpiryInterval", None)
    if expiry_s:
        assert 0 < left_s <= 58
    else:
        assert left_s is None


SCRIPT = """
import sys, time
sys.path[:0] = {path!r}
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
from pathlib import Path
from tests.sinks.examples import detections
from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.spool import SpoolConfig
from framelane.core.clock import SystemClock
from framelane.sinks.mqtt.sink import MqttSink
from framelane.sinks.mqtt.spool.location import SpoolLocation
config = MqttConfig(url={url!r}, spool=SpoolConfig(sync_ms={sync_ms}))
sink = MqttSink(config, "gate-01", "run-1", SystemClock(), place=SpoolLocation(Path({folder!r})))
sink.start()
for seq in range(1, 100_000):
    sink.offer(detections(seq))
    print("offered", seq, time.time(), flush=True)
    time.sleep(0.002)
"""


def test_kill_costs_at_most_the_last_sync_ms(tmp_path: Path, place: SpoolLocation, start: Start) -> None:
    sync_ms = 400
    with Mosquitto(tmp_path / "broker", LOSSLESS) as broker:
        broker.stop()
        script = SCRIPT.format(path=sys.path, url=broker.url, sync_ms=sync_ms, folder=str(place.folder))
        offered: dict[int, float] = {}
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as daemon:
            assert daemon.stdout is not None
            for line in daemon.stdout:
                if not line.startswith("offered"):
                    continue
                _, seq, at = line.split()
                offered[int(seq)] = float(at)
                if len(offered) == 1000:
                    os.kill(daemon.pid, signal.SIGKILL)
                    killed_at = time.time()
        broker.start()
        with Subscriber(broker.url, "framelane/#") as subscriber:
            start(broker.url, spool=QUICK, place=place)
            # A busy host may be late by as much again; that is no loss by design.
            safe = [seq for seq, at in offered.items() if at < killed_at - 2 * sync_ms / 1e3]
            assert len(safe) > 100
            subscriber.wait_for_count(len(safe), 20)
            wait_until(lambda: len(seqs([each.payload for each in subscriber.messages])) >= len(safe))
            time.sleep(0.3)  # for what comes on top
            received = seqs([message.payload for message in subscriber.messages])
    assert received == list(range(1, len(received) + 1))
    assert set(safe) <= set(received)


def test_sink_without_a_spool_says_none(broker: Mosquitto) -> None:
    sink = MqttSink(MqttConfig(url=broker.url), "gate-01", "run-1", SystemClock())
    assert sink.health().spool is None
    sink.stop(0.0, None)
