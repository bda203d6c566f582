"""Messages over which the broker hangs up: found, counted and left out, and no others with them."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Subscriber
from tests.sinks.examples import FAREWELL, ShiftedClock, detections, seqs, state, status
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner, Publish
from tests.waiting import wait_until

from framelane.config.sections.spool import SpoolConfig
from framelane.messages.detections import Message
from framelane.sinks.mqtt import suspects
from framelane.sinks.mqtt.spool.location import SpoolLocation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]

STREAMS = ("a", "b", "c")
RESULTS = 40
LARGEST = 1400
HATES: dict[str, Callable[[Publish], bool]] = {
    "state": lambda each: each.topic.endswith("/state"),
    "ha": lambda each: each.topic.startswith("homeassistant/"),
    "det": lambda each: each.topic.endswith("/b/detections"),
    "status": lambda each: each.topic.endswith("/status"),
}
LEFT_OUT = {"state": 3, "ha": 4, "det": RESULTS, "status": 1}
MOST_HANG_UPS = {"state": 8, "ha": 9, "det": 6, "status": 7}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found out in less time."""
    monkeypatch.setattr(suspects, "_QUIET_S", 0.1)


def padded(seq: int, stream: str, size: int) -> Message:
    """A result that is larger by so many bytes."""
    message = detections(seq, stream)
    return Message(
        "detections",
        stream,
        message.payload.replace(b"{", b'{"pad":"' + b"x" * (size - 9) + b'",', 1),
        retain=False,
    )


def results(broker: FakeBroker, stream: str) -> list[int]:
    """The numbers of a stream's results, in order."""
    topic = f"framelane/gate-01/streams/{stream}/detections"
    return sorted(seqs([each.payload for each in broker.publishes if each.topic == topic]))


def introduce(sink: WatchedSink) -> None:
    """Offer what a node says of itself."""
    sink.offer(status())
    for stream in STREAMS:
        sink.offer(state(stream=stream))
    for of in (None, *STREAMS):
        sink.offer(Message("discovery", of, b'{"cmps":{}}', retain=True))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("spool", [True, False])
@pytest.mark.parametrize("what", HATES)
def test_topic_that_the_broker_hangs_up_on_is_left_out_and_all_else_arrives(
    tmp_path: Path, start: Start, what: str, *, spool: bool
) -> None:
    place = SpoolLocation(tmp_path / "spool") if spool else None
    with FakeBroker([Manner(hates=HATES[what])]) as broker, capture_logs() as logs:
        sink = start(broker.url, protocol="3.1.1", place=place, spool=SpoolConfig(sync_ms=100))
        introduce(sink)
        for seq in range(1, RESULTS + 1):
            for stream in STREAMS:
                sink.offer(detections(seq, stream))
            time.sleep(0.02)
        wait_until(lambda: sink.health().queued == 0)
        wait_until(lambda: sink.health().dropped_by["refused"] == LEFT_OUT[what])
        wait_until(lambda: sink.health().connected)
        assert "they are left out" in sink.watch.wait(connected=True, text="closes the connection over")
        expected = {stream: list(range(1, RESULTS + 1)) for stream in STREAMS}
        if what == "det":
            del expected["b"]
        assert {stream: sorted(set(results(broker, stream))) for stream in expected} == expected
        assert len(broker.hated) <= MOST_HANG_UPS[what]
        assert sink.health().dropped == LEFT_OUT[what]
    refusals = [log["error"] for log in logs if log.get("reason") == "refused"]
    assert {refusal.split(": ")[0] for refusal in refusals} == {
        f"the broker did not take a message on {each.topic}" for each in broker.hated
    }
    assert len(refusals) == len({each.topic for each in broker.hated})  # one for each topic
    assert not any("another client seems" in str(log.get("error")) for log in logs)


def ends_with(broker: FakeBroker, stream: str, numbers: list[int]) -> bool:
    return results(broker, stream)[-len(numbers) :] == numbers


@pytest.mark.timeout(120)
def test_topic_is_found_that_is_published_with_qos_0(start: Start) -> None:
    with FakeBroker([Manner(hates=HATES["det"])]) as broker:
        sink = start(broker.url, protocol="3.1.1", qos=0)
        introduce(sink)
        for seq in range(1, 301):
            if seq == 251:
                wait_until(lambda: sink.health().dropped_by["refused"] > 0)
            for stream in STREAMS:
                sink.offer(detections(seq, stream))
            time.sleep(0.02)
        assert len(broker.hated) <= 8
        # All that comes from then on; what was written just before a hang-up is lost, as it is with QoS 0.
        for stream in ("a", "c"):
            wait_until(partial(ends_with, broker, stream, list(range(251, 301))))


@pytest.mark.timeout(120)
def test_broker_without_retained_messages_gets_them_unretained(start: Start) -> None:
    with FakeBroker([Manner(hates=lambda each: each.retain)]) as broker, capture_logs() as logs:
        sink = start(broker.url, protocol="3.1.1")
        introduce(sink)
        for seq in range(1, 21):
            sink.offer(detections(seq, "a"))
        wait_until(lambda: results(broker, "a") == list(range(1, 21)))
        wait_until(lambda: sum(each.topic.endswith("/state") for each in broker.publishes) == 3)
        wait_until(lambda: sink.health().queued == 0)
        assert sink.health().dropped == 0
        assert len(broker.hated) <= 4
        sink.stop(2.0, FAREWELL)
        assert broker.publishes[-1].json["state"] == "offline"
        assert len(broker.hated) <= 4
    said = [log["text"] for log in logs if log["event"] == "mqtt_limited"]
    assert len(said) == 1
    assert "does not accept retained messages" in said[0]


@pytest.mark.timeout(120)
def test_broker_that_takes_nothing_loses_us_nothing(start: Start) -> None:
    with FakeBroker([Manner(hates=lambda _: True)]) as broker:
        sink = start(broker.url, protocol="3.1.1")
        introduce(sink)
        for seq in range(1, 6):
            sink.offer(detections(seq, "a"))
        wait_until(lambda: len(broker.hated) >= 12)
        assert (sink.health().dropped, sink.health().queued) == (0, 5)
        broker.manners = [Manner()]
        wait_until(lambda: sink.health().queued == 0)
        assert results(broker, "a") == [1, 2, 3, 4, 5]
        assert sink.health().dropped == 0


@pytest.mark.timeout(120)
def test_topic_is_tried_again_later(start: Start) -> None:
    # A broker that takes a second to hang up would not be taken to do so over the message before.
    clock = ShiftedClock(pace=0.2)
    with FakeBroker([Manner(hates=HATES["state"])]) as broker, capture_logs() as logs:
        sink = start(broker.url, protocol="3.1.1", clock=clock)
        introduce(sink)
        wait_until(lambda: sink.health().dropped_by["refused"] == 3)
        # Without a connection the shift would look like a long outage, and with a message in flight like a slow broker.
        sink.offer(detections(1, "a"))
        wait_until(lambda: results(broker, "a") == [1] and sink.health().queued == 0)
        hated = len(broker.hated)
        clock.shift_s += 601
        wait_until(lambda: len(broker.hated) == hated + 1)  # in vain, and once
        wait_until(lambda: broker.publishes[-1].connection > broker.hated[-1].connection)
        broker.manners = [Manner()]
        hated = len(broker.hated)
        broker.drop_all()
        wait_until(lambda: sink.health().connected)
        sink.offer(detections(2, "a"))
        wait_until(lambda: results(broker, "a") == [1, 2] and sink.health().queued == 0)
        assert not any(each.topic.endswith("/state") for each in broker.publishes)
        clock.shift_s += 1201
        sink.offer(detections(3, "a"))
        wait_until(lambda: len({each.topic for each in broker.publishes if each.retain}) == 8)
        assert len(broker.hated) == hated
        sink.watch.wait(connected=True, text="", count=2)
        wait_until(lambda: sink.watch.seen[-1] == (True, ""))
    assert sum(log["event"] == "mqtt_taken_again" for log in logs) == 3


@pytest.mark.timeout(120)
@pytest.mark.parametrize("spool", [True, False])
def test_size_limit_that_is_not_announced_is_learnt(tmp_path: Path, start: Start, *, spool: bool) -> None:
    place = SpoolLocation(tmp_path / "spool") if spool else None
    options = MosquittoOptions(largest=LARGEST)
    head = 2 + 1 + 2 + len("framelane/gate-01/streams/a/detections") + 2
    with (
        Mosquitto(tmp_path / "small", options) as broker,
        Subscriber(broker.url, "framelane/#") as subscriber,
        capture_logs() as logs,
    ):
        sink = start(broker.url, protocol="3.1.1", place=place, spool=SpoolConfig(sync_ms=100))
        introduce(sink)
        fit, large = set(), 0
        for seq in range(1, 101):
            for stream in STREAMS:
                size = seq * 37 % 1500 + 9
                message = padded(seq, stream, size) if seq % 2 else detections(seq, stream)
                sink.offer(message)
                if len(message.payload) + head <= LARGEST:
                    fit.add((stream, seq))
                else:
                    large += 1
            time.sleep(0.02)
        wait_until(lambda: sink.health().queued == 0)
        assert large > 30
        subscriber.wait_for_count(len(fit), 30, lambda each: each.topic.endswith("/detections"))
        bodies = [each.json for each in subscriber.messages if each.topic.endswith("/detections")]
        assert {(body["stream"], body["seq"]) for body in bodies} == fit
        assert sink.health().dropped_by["refused"] == large
    refusals = [log["error"] for log in logs if log.get("reason") == "refused"]
    assert len(refusals) <= 3
    assert all(" bytes" in refusal for refusal in refusals)
    hang_ups = [log for log in logs if log["event"] == "mqtt_connected"]
    assert len(hang_ups) < 25
    assert not any("another client seems" in str(log.get("error")) for log in logs)


@pytest.mark.timeout(120)
def test_message_is_left_out_alone_whose_content_the_broker_hates(start: Start) -> None:
    with FakeBroker([Manner(hates=lambda each: b'"seq":7,' in each.payload)]) as broker:
        sink = start(broker.url, protocol="3.1.1")
        introduce(sink)
        for seq in range(1, 21):
            sink.offer(detections(seq, "a"))
            time.sleep(0.02)
        wait_until(lambda: sink.health().queued == 0)
        assert sorted(set(results(broker, "a"))) == [*range(1, 7), *range(8, 21)]
        assert sink.health().dropped_by["refused"] == 1
        assert len(broker.hated) <= 6


@pytest.mark.timeout(120)
def test_broker_that_says_what_is_wrong_with_a_message_is_believed_at_once(start: Start) -> None:
    not_authorized = b"\xe0\x01\x87"
    with FakeBroker([Manner(hates=HATES["det"], last_word=not_authorized)]) as broker:
        sink = start(broker.url)
        introduce(sink)
        for seq in range(1, 21):
            for stream in STREAMS:
                sink.offer(detections(seq, stream))
        wait_until(lambda: sink.health().queued == 0)
        assert len(broker.hated) <= 3
        assert sorted(set(results(broker, "c"))) == list(range(1, 21))
        assert "not authorized" in sink.watch.wait(connected=False)
