"""Rates, drops and percentiles over a window of time, for MQTT stats, the log and the live table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import psutil

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from framelane.core.clock import Clock
    from framelane.telemetry.crop_counts import CropCounts
    from framelane.telemetry.gpus import GpuSample
    from framelane.telemetry.meters import Counts, CountsSource, ModelCounts, StreamCounts


@dataclass(frozen=True, slots=True)
class LatencyMs:
    """Percentiles of capture to publish, in milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class StreamStats:
    """One stream over one window.

    Attributes:
        stream: the stream's id.
        window_s: length of the window in seconds.
        fps_in: pictures received per second.
        fps_decoded: frames decoded per second.
        fps_inferred: frames inferred per second; a frame that goes to two models counts twice.
        fps_published: results published per second.
        dropped: frames not inferred in the window, by reason; contains every known reason.
        left_out: results that `publish` left out in the window, likewise.
        latency_ms: percentiles over the window's results (the last 2048); None if there were none.
        queue_ms: mean wait of an inferred frame for its batch; None if none was inferred.
        infer_ms: mean time from batch start to detections; None likewise.
        reconnects: times the stream came back after it was lost, since the start.
        objects: mean number of objects per frame, by label; None if there was no result.
        crops: crops of its objects in the window, by second model.
    """

    stream: str
    window_s: float
    fps_in: float
    fps_decoded: float
    fps_inferred: float
    fps_published: float
    dropped: Mapping[str, int]
    left_out: Mapping[str, int]
    latency_ms: LatencyMs | None
    queue_ms: float | None
    infer_ms: float | None
    reconnects: int
    objects: Mapping[str, float] | None = None
    crops: Mapping[str, CropStats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CropStats:
    """Crops of one stream's objects for one second model, over one window.

    Attributes:
        sent: crops that were cut.
        answered: crops whose answer came in time.
        dropped: crops without an answer, by reason; contains every known reason.
        latency_ms: mean time from cutting to the answer; None if none was answered.
    """

    sent: int
    answered: int
    dropped: Mapping[str, int]
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class ModelStats:
    """One model over one window: batches per second, and means per batch, None if no batch ran."""

    model: str
    batches_per_s: float
    batch_size: float | None
    preprocess_ms: float | None
    infer_ms: float | None
    postprocess_ms: float | None


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """A process's resident bytes, and its seconds of CPU (user and system) since its start."""

    rss_bytes: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class NodeStats:
    """The whole node over one window.

    Attributes:
        window_s: length of the window in seconds.
        streams: each stream, in the order they were added.
        models: each model.
        fps_in: sum over all streams, as are the other rates, `dropped` and `left_out`.
        latency_ms: percentiles over all streams' results.
        rss_bytes: resident memory of the process.
        cpu_cores: CPU that the process used, in cores: 1.5 is one and a half cores.
        gpus: the GPUs in use, at the window's end; none on a CPU host.
        load: the demand for inference as a share of capacity, see `_load`; None before a model runs.
    """

    window_s: float
    streams: tuple[StreamStats, ...]
    models: tuple[ModelStats, ...]
    fps_in: float
    fps_decoded: float
    fps_inferred: float
    fps_published: float
    dropped: Mapping[str, int]
    left_out: Mapping[str, int]
    latency_ms: LatencyMs | None
    rss_bytes: int
    cpu_cores: float
    gpus: tuple[GpuSample, ...] = ()
    load: float | None = None


def sample_process() -> ProcessSample:
    """Return this process's memory and CPU."""
    process = psutil.Process()
    times = process.cpu_times()
    return ProcessSample(process.memory_info().rss, times.user + times.system)


class StatsWindow:
    """Consecutive windows over the meters: each `close` ends one and begins the next.

    Each reporter with its own interval (log and MQTT, live table, benchmark) has its own StatsWindow. GPUs
    are sampled only when a window closes.
    """

    def __init__(
        self,
        meters: CountsSource,
        clock: Clock,
        process: Callable[[], ProcessSample] = sample_process,
        gpus: Callable[[], Sequence[GpuSample]] = tuple,
    ) -> None:
        self._meters = meters
        self._clock = clock
        self._process = process
        self._gpus = gpus
        self._began_s = clock.monotonic()
        self._before = meters.snapshot()
        self._used = process()
        self._latest: NodeStats | None = None

    @property
    def latest(self) -> NodeStats | None:
        """The last closed window; None before the first."""
        return self._latest

    def close(self) -> NodeStats:
        """End the window now and return its figures."""
        now_s, now, used = self._clock.monotonic(), self._meters.snapshot(), self._process()
        # Two closes within one tick of the clock would divide by zero.
        window_s = max(now_s - self._began_s, 1e-3)
        node = _node(self._before, now, window_s, used, (used.cpu_s - self._used.cpu_s) / window_s)
        self._latest = replace(node, gpus=tuple(self._gpus()))
        self._began_s, self._before, self._used = now_s, now, used
        return self._latest


def _node(before: Counts, now: Counts, window_s: float, used: ProcessSample, cpu_cores: float) -> NodeStats:
    deltas = [_Delta(before.streams.get(name), counts) for name, counts in now.streams.items()]
    streams = tuple(delta.stats(window_s) for delta in deltas)
    dropped: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for stream in streams:
        dropped.update(stream.dropped)
        left_out.update(stream.left_out)
    return NodeStats(
        window_s=window_s,
        streams=streams,
        models=tuple(
            _model(before.models.get(name), counts, window_s) for name, counts in now.models.items()
        ),
        fps_in=sum(stream.fps_in for stream in streams),
        fps_decoded=sum(stream.fps_decoded for stream in streams),
        fps_inferred=sum(stream.fps_inferred for stream in streams),
        fps_published=sum(stream.fps_published for stream in streams),
        dropped=dict(dropped),
        left_out=dict(left_out),
        latency_ms=_percentiles(delta.latencies_s for delta in deltas),
        rss_bytes=used.rss_bytes,
        cpu_cores=cpu_cores,
        load=_load(before, now, window_s, streams),
    )


class _Delta:
    """One stream's changes between two snapshots.

    Its totals if its meter is newer than the first snapshot.
    """

    def __init__(self, before: StreamCounts | None, now: StreamCounts) -> None:
        old = before if before is not None and before.born == now.born else None
        self._now = now
        self._received = now.received - (old.received if old else 0)
        self._decoded = now.decoded - (old.decoded if old else 0)
        self._inferred = now.inferred - (old.inferred if old else 0)
        self._published = now.published - (old.published if old else 0)
        self._queued_s = now.queued_s - (old.queued_s if old else 0.0)
        self._inferred_s = now.inferred_s - (old.inferred_s if old else 0.0)
        self._dropped = _risen(old.dropped if old else {}, now.dropped)
        self._left_out = _risen(old.left_out if old else {}, now.left_out)
        self._objects = now.objects.per_frame_since(old.objects if old else None)
        self.latencies_s = now.latencies_since(old.published if old else 0)
        self._crops = {
            model: _crops(old.crops.get(model) if old else None, counts)
            for model, counts in now.crops.items()
        }

    def stats(self, window_s: float) -> StreamStats:
        return StreamStats(
            stream=self._now.stream,
            window_s=window_s,
            fps_in=self._received / window_s,
            fps_decoded=self._decoded / window_s,
            fps_inferred=self._inferred / window_s,
            fps_published=self._published / window_s,
            dropped=self._dropped,
            left_out=self._left_out,
            latency_ms=_percentiles([self.latencies_s]),
            queue_ms=_mean_ms(self._queued_s, self._inferred),
            infer_ms=_mean_ms(self._inferred_s, self._inferred),
            reconnects=self._now.reconnects,
            objects=self._objects,
            crops=self._crops,
        )


def _model(before: ModelCounts | None, now: ModelCounts, window_s: float) -> ModelStats:
    batches = now.batches - (before.batches if before else 0)
    frames = now.frames - (before.frames if before else 0)
    spent_s = {
        stage: counts.total - (before.stages[stage].total if before else 0.0)
        for stage, counts in now.stages.items()
    }
    return ModelStats(
        model=now.model,
        batches_per_s=batches / window_s,
        batch_size=frames / batches if batches else None,
        preprocess_ms=_mean_ms(spent_s["preprocess"], batches),
        infer_ms=_mean_ms(spent_s["infer"], batches),
        postprocess_ms=_mean_ms(spent_s["postprocess"], batches),
    )


def _crops(before: CropCounts | None, now: CropCounts) -> CropStats:
    answered = now.answered - (before.answered if before else 0)
    return CropStats(
        sent=now.sent - (before.sent if before else 0),
        answered=answered,
        dropped=_risen(before.dropped if before else {}, now.dropped),
        latency_ms=_mean_ms(now.latency.total - (before.latency.total if before else 0.0), answered),
    )


def _risen(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {reason: count - before.get(reason, 0) for reason, count in now.items()}


def _load(before: Counts, now: Counts, window_s: float, streams: Iterable[StreamStats]) -> float | None:
    """Return the busiest model's share of busy slot time, times due frames over inferred frames.

    The busy share can't exceed 1; from there on frames are replaced, and their share tells how much capacity
    is missing. So 0.5 is half load, and 1.5 is work for one and a half nodes. With batches larger than one it
    reads high at small loads, because half-empty batches take more than half the time of full ones.
    """
    busy = [
        (counts.spent_s - (before.models[name].spent_s if name in before.models else 0.0))
        / counts.slots
        / window_s
        for name, counts in now.models.items()
        if counts.slots
    ]
    if not busy:
        return None
    inferred = sum(stream.fps_inferred for stream in streams) * window_s
    replaced = sum(stream.dropped.get("replaced", 0) for stream in streams)
    return max(busy) * (inferred + replaced) / inferred if inferred else max(busy)


def _mean_ms(total_s: float, count: int) -> float | None:
    return 1e3 * total_s / count if count else None


def _percentiles(latencies_s: Iterable[array[float]]) -> LatencyMs | None:
    every = np.concatenate([np.frombuffer(some, np.float64) for some in latencies_s] or [np.zeros(0)])
    if not len(every):
        return None
    p50, p95, p99 = (1e3 * np.percentile(every, (50, 95, 99))).tolist()
    return LatencyMs(p50, p95, p99)
