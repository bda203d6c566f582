from __future__ import annotations

import sys
import threading

import pytest

from framelane.core.drop_reasons import DROPS
from framelane.telemetry.histogram import LATENCY_BUCKETS_S, Histogram
from framelane.telemetry.meters import RING, Meters, StreamMeter


def test_stream_meter_counts_each_event_under_its_own_name() -> None:
    meter = StreamMeter("lobby")
    for _ in range(5):
        meter.frame_received()
    for _ in range(4):
        meter.frame_decoded()
    meter.frame_dropped("fps")
    meter.frame_dropped("replaced", 2)
    meter.frame_inferred(0.010, 0.020)
    meter.frame_inferred(0.030, 0.040)
    meter.result_published(0.050)
    meter.reconnected()

    counts = meter.snapshot()

    assert (counts.received, counts.decoded, counts.inferred, counts.published) == (5, 4, 2, 1)
    assert counts.dropped == {**dict.fromkeys(DROPS, 0), "fps": 1, "replaced": 2}
    assert counts.queued_s == pytest.approx(0.040)
    assert counts.inferred_s == pytest.approx(0.060)
    assert counts.reconnects == 1


def test_stream_meter_knows_every_reason_before_the_first_drop() -> None:
    assert dict.fromkeys(DROPS, 0) == StreamMeter("lobby").snapshot().dropped


def test_snapshot_stays_as_it_was_when_counting_goes_on() -> None:
    meter = StreamMeter("lobby")
    meter.result_published(0.1)
    before = meter.snapshot()
    meter.result_published(0.2)
    meter.frame_dropped("fps")
    assert list(before.latencies_since(0)) == [0.1]
    assert before.dropped["fps"] == 0
    assert before.latency.observations == 1


@pytest.mark.parametrize(
    ("published", "since", "first", "count"),
    [
        (0, 0, None, 0),
        (3, 0, 0, 3),
        (3, 2, 2, 1),
        (3, 3, None, 0),
        (RING, 0, 0, RING),
        (RING + 5, 0, 5, RING),
        (RING + 5, RING - 2, RING - 2, 7),
        (3 * RING, 3 * RING - 1, 3 * RING - 1, 1),
    ],
)
def test_latencies_since_gives_the_newest_in_order(
    published: int, since: int, first: int | None, count: int
) -> None:
    meter = StreamMeter("lobby")
    for number in range(published):
        meter.result_published(float(number))
    expected = [] if first is None else [float(first + step) for step in range(count)]
    assert list(meter.snapshot().latencies_since(since)) == expected


def test_result_published_takes_a_latency_below_zero_as_zero() -> None:
    meter = StreamMeter("lobby")
    meter.result_published(-3.0)
    counts = meter.snapshot()
    assert list(counts.latencies_since(0)) == [0.0]
    assert counts.latency.total == 0.0


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        (0.0, 0),
        (0.005, 0),
        (0.0050001, 1),
        (10.0, len(LATENCY_BUCKETS_S) - 1),
        (10.1, len(LATENCY_BUCKETS_S)),
    ],
)
def test_histogram_bounds_are_inclusive(value: float, bucket: int) -> None:
    histogram = Histogram(LATENCY_BUCKETS_S)
    histogram.observe(value)
    counts = histogram.counts()
    assert counts.counts.index(1) == bucket
    assert counts.observations == 1
    assert counts.total == value


def test_model_meter_counts_batches_and_their_stages() -> None:
    meter = Meters().model("yolox")
    meter.batch_done(4, 0.001, 0.020, 0.002)
    meter.batch_done(2, 0.003, 0.040, 0.004)
    counts = meter.snapshot()
    assert (counts.batches, counts.frames) == (2, 6)
    totals = {stage: histogram.total for stage, histogram in counts.stages.items()}
    assert totals == pytest.approx({"preprocess": 0.004, "infer": 0.060, "postprocess": 0.006})


def test_meters_gives_one_meter_a_stream_until_it_is_removed(meters: Meters) -> None:
    meter = meters.stream("lobby")
    meter.frame_received()
    assert meters.stream("lobby") is meter
    assert meters.model("yolox") is meters.model("yolox")

    meters.remove_stream("lobby")
    meters.remove_stream("never there")
    meter.frame_received()

    assert meters.snapshot().streams == {}
    again = meters.stream("lobby").snapshot()
    assert again.received == 0
    assert again.born != meter.snapshot().born


def test_snapshot_keeps_the_order_of_creation(meters: Meters) -> None:
    for name in ("b", "a", "c"):
        meters.stream(name)
    assert list(meters.snapshot().streams) == ["b", "a", "c"]


def test_no_event_is_lost_when_threads_count_at_once(meters: Meters) -> None:
    stream, model = meters.stream("lobby"), meters.model("yolox")
    rounds, threads = 4000, 6
    start = threading.Barrier(threads + 1)
    done = threading.Event()
    torn: list[object] = []

    def count() -> None:
        start.wait()
        for _ in range(rounds):
            stream.frame_dropped("replaced")
            stream.frame_dropped("failed", 2)
            stream.frame_inferred(0.001, 0.002)
            stream.result_published(0.004)
            model.batch_done(2, 0.001, 0.001, 0.001)

    def read() -> None:
        while not done.is_set():
            counts = stream.snapshot()
            if (
                counts.latency.observations != counts.published
                or counts.queue.observations != counts.inferred
            ):
                torn.append(counts)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=count) for _ in range(threads)]
        reader = threading.Thread(target=read)
        for thread in (*workers, reader):
            thread.start()
        start.wait()
        for thread in workers:
            thread.join()
        done.set()
        reader.join()
    finally:
        sys.setswitchinterval(interval_s)

    counts, batches = stream.snapshot(), model.snapshot()
    expected = rounds * threads
    assert torn == []
    assert (counts.dropped["replaced"], counts.dropped["failed"]) == (expected, 2 * expected)
    assert (counts.inferred, counts.published) == (expected, expected)
    assert counts.latency.total == pytest.approx(0.004 * expected)
    assert (batches.batches, batches.frames) == (expected, 2 * expected)
