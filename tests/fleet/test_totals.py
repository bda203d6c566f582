"""Sums of meters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.fleet.totals import continue_counts, sum_models, summed
from framelane.telemetry.histogram import HistogramCounts
from framelane.telemetry.meters import RING, ModelMeter, StreamMeter

if TYPE_CHECKING:
    from framelane.telemetry.meters import StreamCounts


def published(*latencies_s: float) -> StreamCounts:
    meter = StreamMeter("lobby")
    for latency_s in latencies_s:
        meter.result_published(latency_s)
    return meter.snapshot()


def test_continue_counts_adds_up_all_but_reconnects_and_stays_the_meter_of_before() -> None:
    meters = StreamMeter("lobby"), StreamMeter("lobby")
    for count, meter in enumerate(meters, 1):
        for _ in range(count):
            meter.frame_received()
            meter.frame_decoded()
            meter.frame_inferred(0.5, 0.25)
            meter.frame_dropped("late", 3)
            meter.result_left_out("rate")
            meter.reconnected()
            meter.decoder_fell_back()
    meters[0].set_clock_offset(1.0)
    meters[1].frame_dropped("decode")
    before, now = (meter.snapshot() for meter in meters)
    found = continue_counts(before, now)
    assert (found.stream, found.born, found.reconnects, found.clock_offset_s) == (
        "lobby",
        before.born,
        1,
        None,
    )
    assert (found.received, found.decoded, found.inferred, found.fallbacks) == (3, 3, 3, 3)
    assert (found.queued_s, found.inferred_s) == (1.5, 0.75)
    assert {reason: count for reason, count in found.dropped.items() if count} == {"late": 9, "decode": 1}
    assert {reason: count for reason, count in found.left_out.items() if count} == {"rate": 3}
    assert (found.queue.observations, found.queue.total) == (3, 1.5)


@pytest.mark.parametrize("before", [0, 1, RING - 1, RING, RING + 1, 3 * RING])
@pytest.mark.parametrize("now", [0, 1, RING - 1, RING, RING + 1, 2 * RING + 7])
def test_continue_counts_keeps_the_last_latencies_in_order(before: int, now: int) -> None:
    latencies = [float(number) for number in range(before + now)]
    found = continue_counts(published(*latencies[:before]), published(*latencies[before:]))
    assert (found.published, latencies[-RING:]) == (before + now, list(found.latencies_since(0)))
    assert latencies[before:][-RING:] == list(found.latencies_since(before))


def test_continue_counts_leaves_both_as_they_were() -> None:
    before, now = published(1.0, 2.0), published(3.0)
    rings = before.ring[:], now.ring[:]
    continue_counts(before, now)
    assert (before.ring, now.ring) == rings


def test_sum_models_adds_up_batches_and_slots_of_one_model() -> None:
    meters = ModelMeter("yolox"), ModelMeter("yolox")
    for size, meter in zip((4, 8), meters, strict=True):
        meter.slots_opened(2)
        meter.batch_done(size, 0.1, 0.2, 0.3)
        meter.frames_copied(3, 1000)
    found = sum_models(*(meter.snapshot() for meter in meters))
    assert (found.model, found.batches, found.frames, found.slots) == ("yolox", 2, 12, 4)
    assert (found.not_copied, found.copy_bytes) == (6, 2000)
    assert found.spent_s == pytest.approx(1.2)


def test_summed_adds_each_bucket() -> None:
    first, second = HistogramCounts((1.0, 2.0), (1, 2, 3), 4.5), HistogramCounts((1.0, 2.0), (10, 0, 5), 0.5)
    assert summed(first, second) == HistogramCounts((1.0, 2.0), (11, 2, 8), 5.0)


def test_summed_raises_when_the_buckets_differ() -> None:
    with pytest.raises(ValueError, match="zip"):
        summed(HistogramCounts((1.0,), (1, 2), 0.0), HistogramCounts((), (1,), 0.0))
