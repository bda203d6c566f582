"""Counts of several processes as one source: nothing falls when a worker starts again, percentiles stay exact."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from framelane.core.clock import SystemClock
from framelane.fleet.aggregate import Aggregate
from framelane.fleet.protocol import Snapshot
from framelane.fleet.totals import continue_counts
from framelane.telemetry.health import ProgressWatch
from framelane.telemetry.meters import RING, Meters, StreamMeter
from framelane.telemetry.sink_health import SinkHealth, SpoolHealth
from framelane.telemetry.stats import ProcessSample, StatsWindow


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


class FakeWorker:
    """Meters of a process of its own."""

    def __init__(self, *streams: str) -> None:
        self.meters = Meters()
        self.streams = streams

    def work(self, frames: int, latency_s: float = 0.05) -> None:
        for stream in self.streams:
            meter = self.meters.stream(stream)
            for _ in range(frames):
                meter.frame_received()
                meter.frame_decoded()
                meter.frame_inferred(0.001, 0.01)
                meter.result_published(latency_s)
            meter.frame_dropped("replaced", frames)
            meter.result_left_out("rate")
        self.meters.model("m").batch_done(frames, 0.001, 0.01, 0.001)

    def snapshot(self, delivered: int = 0, queued: int = 0) -> Snapshot:
        sink = SinkHealth("mqtt", True, queued, delivered, 0, None)  # noqa: FBT003 - positions of a value
        return Snapshot(self.meters.snapshot(), {}, (sink,), (), ProcessSample(1000, 2.0))


@pytest.fixture
def totals() -> Aggregate:
    return Aggregate([("a", "c"), ("b",)], ("a", "b", "c"), ("m",), len)


def test_aggregate_shows_all_streams_in_the_files_order_when_no_worker_has_spoken(totals: Aggregate) -> None:
    counts = totals.snapshot()
    assert list(counts.streams) == ["a", "b", "c"]
    assert (counts.streams["a"].received, counts.models["m"].batches) == (0, 0)
    assert len({each.born for each in counts.streams.values()}) == 3
    assert counts.streams["a"].reconnects == 1


def test_aggregate_sums_models_over_workers(totals: Aggregate) -> None:
    for number, worker in enumerate((FakeWorker("a", "c"), FakeWorker("b"))):
        worker.work(4)
        totals.update(number, worker.snapshot())
    counts = totals.snapshot()
    assert (counts.models["m"].batches, counts.models["m"].frames) == (2, 8)
    assert [each.inferred for each in counts.streams.values()] == [4, 4, 4]


def test_no_count_falls_when_a_worker_starts_again(totals: Aggregate) -> None:
    clock = Clock()
    window = StatsWindow(totals, clock, totals.used)
    first = FakeWorker("b")
    first.work(30)
    totals.update(1, first.snapshot(delivered=30, queued=5))
    clock.now_s += 10
    assert window.close().streams[1].fps_published == 3.0
    totals.close(1)
    second = FakeWorker("b")
    second.work(20, latency_s=0.2)
    totals.update(1, second.snapshot(delivered=20))
    clock.now_s += 10
    stats = window.close()
    assert (stats.streams[1].fps_published, stats.streams[1].dropped["replaced"]) == (2.0, 20)
    assert stats.streams[1].latency_ms is not None
    assert stats.streams[1].latency_ms.p50 == pytest.approx(200)
    assert stats.models[0].batches_per_s == pytest.approx(0.1)
    assert totals.snapshot().streams["b"].published == 50
    assert totals.snapshot().streams["b"].left_out == {"empty": 0, "rate": 2}
    (sink,) = totals.sinks("mqtt").values()
    # What waited in the process that died was lost with it.
    assert (sink.delivered, sink.dropped, sink.queued) == (50, 5, 0)


def test_what_is_on_disk_is_not_lost_when_a_worker_ends(totals: Aggregate) -> None:
    spool = SpoolHealth(messages=40, disk_bytes=4096, oldest_s=7.0, trouble="the disk is full", full=True)
    sink = SinkHealth(
        "mqtt",
        connected=True,
        queued=45,
        delivered=9,
        dropped=3,
        last_error=None,
        full=True,
        dropped_by={"size": 3},
        spool=spool,
    )
    worker = FakeWorker("b")
    totals.update(1, replace(worker.snapshot(), sinks=(sink,)))
    totals.close(1)
    (ended,) = totals.sinks("mqtt").values()
    assert (ended.queued, ended.dropped, ended.dropped_by, ended.full) == (
        40, 8, {"size": 3, "stopped": 5}, False,
    )  # fmt: skip
    assert ended.spool == replace(spool, trouble=None, full=False)
    totals.update(1, replace(worker.snapshot(), sinks=(sink,)))
    (again,) = totals.sinks("mqtt").values()
    assert (again.queued, again.dropped, again.dropped_by) == (45, 11, {"size": 6, "stopped": 5})


def test_progress_goes_on_when_a_worker_starts_again(totals: Aggregate) -> None:
    watch = ProgressWatch(SystemClock())
    for _ in range(3):
        worker = FakeWorker("b")
        worker.work(5)
        totals.update(1, worker.snapshot())
        assert watch.observe(totals.snapshot()) == 0.0
        totals.close(1)


def test_cpu_of_ended_workers_stays_and_memory_goes(totals: Aggregate) -> None:
    worker = FakeWorker("b")
    totals.update(1, worker.snapshot())
    before = totals.used()
    assert totals.rss_bytes(1) == 1000
    totals.close(1)
    totals.update(1, worker.snapshot())
    assert totals.used().cpu_s - before.cpu_s > 1.99
    totals.close(1)
    assert totals.rss_bytes(1) == 0


def test_fresh_snapshot_is_waited_for_and_not_forever(totals: Aggregate) -> None:
    worker = FakeWorker("b")
    worker.work(1)
    timer = threading.Timer(0.05, lambda: totals.update(1, worker.snapshot()))
    totals.wait_fresh({1: timer.start}, 10.0)
    assert totals.snapshot().streams["b"].published == 1
    totals.wait_fresh({1: lambda: None}, 0.05)


@pytest.mark.parametrize("before", [0, 3, RING - 1, RING, 3 * RING + 7])
@pytest.mark.parametrize("now", [0, 5, RING - 1, RING, 2 * RING + 3])
def test_latencies_are_those_of_both_starts_in_order(before: int, now: int) -> None:
    values = [0.001 * number for number in range(before + now)]
    old, new = StreamMeter("s"), StreamMeter("s")
    for value in values[:before]:
        old.result_published(value)
    for value in values[before:]:
        new.result_published(value)
    both = continue_counts(old.snapshot(), new.snapshot())
    assert both.published == before + now
    assert both.latencies_since(0).tolist() == values[-RING:]
    if before + now > 4:
        assert both.latencies_since(both.published - 4).tolist() == values[-4:]
    assert both == replace(both, born=old.snapshot().born)


def test_stream_that_comes_is_counted_from_nought_and_one_that_goes_is_not_spoken_of(
    totals: Aggregate,
) -> None:
    worker = FakeWorker("b", "new")
    worker.work(3)
    totals.update(1, worker.snapshot())  # a worker may be quicker than we are
    totals.open(1, "new")
    assert totals.snapshot().streams["new"].received == 0
    totals.update(1, worker.snapshot())
    assert totals.snapshot().streams["new"].received == 3
    born = totals.snapshot().streams["b"].born
    totals.drop(1, "b")
    totals.update(1, worker.snapshot())
    assert list(totals.snapshot().streams) == ["a", "c", "new"]
    totals.open(1, "b")
    assert totals.snapshot().streams["b"].born != born


def test_model_that_was_loaded_later_is_counted_for_all_workers(totals: Aggregate) -> None:
    worker = FakeWorker("b")
    worker.meters.model("late").batch_done(2, 0.001, 0.01, 0.001)
    totals.update(1, worker.snapshot())
    assert list(totals.snapshot().models) == ["m"]
    totals.add_models(["m", "late"])
    totals.update(1, worker.snapshot())
    assert totals.snapshot().models["late"].frames == 2
