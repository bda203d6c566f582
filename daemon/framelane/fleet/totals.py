"""Sums of meters: of one stream over its worker's processes, of one model over workers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from framelane.telemetry.crop_counts import CropCounts
from framelane.telemetry.histogram import HistogramCounts
from framelane.telemetry.meters import RING, ModelCounts

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping

    from framelane.telemetry.meters import StreamCounts


def continue_counts(before: StreamCounts, now: StreamCounts) -> StreamCounts:
    """Return the counts of a stream whose meter ended at `before` and was followed by the meter of `now`.

    The result keeps the meter identity of `before`, so differences continue and no count ever falls.
    Reconnects are not summed: StreamStates counts them, including those caused by worker restarts.
    """
    return replace(
        before,
        received=before.received + now.received,
        decoded=before.decoded + now.decoded,
        inferred=before.inferred + now.inferred,
        published=before.published + now.published,
        fallbacks=before.fallbacks + now.fallbacks,
        dropped=_by_reason(before.dropped, now.dropped),
        left_out=_by_reason(before.left_out, now.left_out),
        clock_offset_s=now.clock_offset_s,
        queued_s=before.queued_s + now.queued_s,
        inferred_s=before.inferred_s + now.inferred_s,
        latency=summed(before.latency, now.latency),
        queue=summed(before.queue, now.queue),
        ring=_ring(before, now),
        tracks=now.tracks,
        tracks_capped=before.tracks_capped + now.tracks_capped,
        snapshots=_by_reason(before.snapshots, now.snapshots),
        clips=_by_reason(before.clips, now.clips),
        objects=before.objects.plus(now.objects),
        crops={
            **before.crops,
            **{model: _crops(before.crops.get(model), each) for model, each in now.crops.items()},
        },
    )


def sum_models(first: ModelCounts, second: ModelCounts) -> ModelCounts:
    """Return the sum of two workers' counts of one model, or of one worker's before and after a restart."""
    stages = {stage: summed(first.stages[stage], counts) for stage, counts in second.stages.items()}
    batch_size = summed(first.batch_size, second.batch_size)
    return ModelCounts(
        first.model,
        batch_size,
        stages,
        first.slots + second.slots,
        first.not_copied + second.not_copied,
        first.copy_bytes + second.copy_bytes,
    )


def summed(first: HistogramCounts, second: HistogramCounts) -> HistogramCounts:
    """Return the sum of two histograms with the same buckets."""
    counts = tuple(a + b for a, b in zip(first.counts, second.counts, strict=True))
    return HistogramCounts(first.bounds, counts, first.total + second.total)


def _crops(before: CropCounts | None, now: CropCounts) -> CropCounts:
    if before is None:
        return now
    return CropCounts(
        before.sent + now.sent, _by_reason(before.dropped, now.dropped), summed(before.latency, now.latency)
    )


def _by_reason(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {reason: first.get(reason, 0) + second.get(reason, 0) for reason in {**first, **second}}


def _ring(before: StreamCounts, now: StreamCounts) -> array[float]:
    """Return the last latencies of both, numbered continuously: value number i lies at i modulo RING."""
    if not before.published:
        return now.ring
    start = before.published % RING
    turned = now.ring[RING - start :] + now.ring[: RING - start]
    if now.published >= RING:
        return turned
    ring, end = before.ring[:], start + now.published
    ring[start : min(end, RING)] = turned[start : min(end, RING)]
    over = max(end - RING, 0)
    ring[:over] = turned[:over]
    return ring
