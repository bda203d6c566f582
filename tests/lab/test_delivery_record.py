"""The record that a subscriber keeps of messages."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from framelane.measure.errors import BenchError
from lab.daemon_run import describe_run
from lab.delivery_record import Arrivals, DeliveryRecord, Received

CAPTURED_AT = 1_795_338_000.5


def detections(seq: int, stream: str = "lobby", **more: Any) -> bytes:
    body = {
        "schema": "framelane.detections/1",
        "run": "r1",
        "stream": stream,
        "seq": seq,
        "captured_at": "2026-11-22T09:00:00.500000Z",
        "clock": "rtcp",
        "dropped": 0,
        "latency_ms": {"total": 40.0},
    }
    return orjson.dumps(body | more)


def test_record_measures_from_capture_to_arrival() -> None:
    record = DeliveryRecord()

    record.book(detections(1), CAPTURED_AT + 0.05)

    arrivals = record.received().streams["lobby"]
    assert [pytest.approx(50.0, abs=0.01)] == arrivals.arrival_ms
    assert arrivals.publish_ms == [40.0]


def test_record_begins_the_next_window_where_the_one_that_is_taken_ends() -> None:
    record = DeliveryRecord()
    record.book(detections(1), CAPTURED_AT)
    assert record.take().streams["lobby"].frames == 1
    record.book(detections(3), CAPTURED_AT)
    after = record.received().streams["lobby"]
    assert (after.frames, after.missing) == (1, 1)


def test_record_counts_what_is_missing_repeated_and_dropped() -> None:
    record = DeliveryRecord()

    for seq, dropped in ((7, 2), (8, 0), (8, 0), (11, 1)):
        record.book(detections(seq, dropped=dropped), CAPTURED_AT)

    arrivals = record.received().streams["lobby"]
    assert (arrivals.frames, arrivals.missing, arrivals.repeated, arrivals.dropped) == (3, 2, 1, 3)


def test_record_tells_what_comes_late_from_what_is_lost() -> None:
    record = DeliveryRecord()
    for seq in (1, 2, 6):
        record.book(detections(seq), CAPTURED_AT)
    assert record.take().streams["lobby"].lost == 3

    for seq in (3, 7, 4, 4):  # the spool's lane beside the fresh one, and a copy
        record.book(detections(seq, captured_at="2026-11-22T08:59:00.500000Z"), CAPTURED_AT)

    arrivals = record.received().streams["lobby"]
    assert (arrivals.frames, arrivals.missing, arrivals.late, arrivals.repeated) == (3, 0, 2, 1)


def test_record_forgets_what_was_missing_before_a_window_that_is_reopened() -> None:
    record = DeliveryRecord()
    for seq in (1, 3):
        record.book(detections(seq), CAPTURED_AT)
    record.open()

    record.book(detections(2), CAPTURED_AT)

    arrivals = record.received().streams["lobby"]
    assert (arrivals.frames, arrivals.lost, arrivals.repeated) == (0, 0, 1)


def test_record_sees_a_gap_between_two_windows_and_none_between_two_runs() -> None:
    record = DeliveryRecord()
    record.book(detections(1), CAPTURED_AT)
    record.open()

    record.book(detections(3), CAPTURED_AT)
    record.book(detections(1, run="r2"), CAPTURED_AT)

    arrivals = record.received().streams["lobby"]
    assert (arrivals.frames, arrivals.missing) == (2, 1)


def test_record_adds_up_reasons_and_keeps_reconnects_over_windows() -> None:
    record = DeliveryRecord()
    record.book(orjson.dumps({"schema": "framelane.state/1", "stream": "lobby", "reconnects": 4}), 0.0)
    record.open()
    for _ in range(2):
        record.book(orjson.dumps({"schema": "framelane.stats/1", "dropped": {"replaced": 3, "fps": 0}}), 0.0)
    record.book(b'{"schema":"framelane.status/1"}', 0.0)

    received = record.received()

    assert received.reasons == {"replaced": 6, "fps": 0}
    assert received.reconnects == {"lobby": 4}


def test_received_survives_the_way_between_processes() -> None:
    received = Received(
        2.0, {"lobby": Arrivals([1.0], [2.0], 3, 4, 5, 6)}, {"rtcp": 1}, {"fps": 1}, {"lobby": 2}
    )

    assert received == Received.from_json(received.to_json())


def test_describe_run_sums_streams_up() -> None:
    streams = {
        "a": Arrivals([10.0] * 20, [9.0] * 20, dropped=5),
        "b": Arrivals([30.0] * 16, [20.0] * 16, missing=1),
    }
    received = Received(2.0, streams, clocks={"rtcp": 27, "receive": 9}, reasons={"replaced": 5, "fps": 0})

    run = describe_run(received, 200.0, 210.0, 0.9, {"broker": 0.01})

    assert (run.fps, run.streams_fps, run.slowest_to_fastest) == (18.0, {"a": 10.0, "b": 8.0}, 0.8)
    assert (run.dropped, run.missing, run.reasons, run.rtcp_share) == (5, 1, {"replaced": 5}, 0.75)
    assert pytest.approx(50.0) == run.cpu_ms_a_frame
    assert run.arrival_ms is not None
    assert (run.arrival_ms.count, run.arrival_ms.most) == (36, 30.0)


def test_describe_run_refuses_silence() -> None:
    with pytest.raises(BenchError, match="no result arrived"):
        describe_run(Received(2.0), 0.0, 0.0, 0.0, {})


def test_windows_of_several_subscribers_make_one() -> None:
    one, other = DeliveryRecord(), DeliveryRecord()
    one.book(detections(1), CAPTURED_AT)
    other.book(detections(1, "yard", clock="media"), CAPTURED_AT)
    state = {"schema": "framelane.state/1", "stream": "yard", "reconnects": 2, "video": {"decoder": "nvdec"}}
    other.book(orjson.dumps(state), CAPTURED_AT)

    whole = Received.merged([one.received(), other.received()])

    assert {"lobby", "yard"} == whole.streams.keys()
    assert whole.clocks == {"rtcp": 1, "media": 1}
    assert whole.decoders == {"yard": "nvdec"}
    assert whole.reconnects == {"yard": 2}


def test_consecutive_windows_make_one() -> None:
    record = DeliveryRecord()
    record.book(detections(1), CAPTURED_AT)
    first = record.take()
    record.book(detections(3, dropped=2), CAPTURED_AT)
    record.book(detections(1, "yard"), CAPTURED_AT)
    second = record.take()

    whole = Received.joined([first, second])

    lobby = whole.streams["lobby"]
    assert (lobby.frames, lobby.missing, lobby.dropped, lobby.publish_ms) == (2, 1, 2, [40.0, 40.0])
    assert whole.streams["yard"].frames == 1
    assert whole.clocks == {"rtcp": 3}
    assert whole.seconds == first.seconds + second.seconds


def test_record_passes_over_a_state_that_is_taken_back() -> None:
    record = DeliveryRecord()
    record.book(b"", CAPTURED_AT)
    assert record.received().streams == {}
