"""Meters, states and sinks as Prometheus metrics, collected at each scrape."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from framelane import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from framelane.core.frames import ModelInfo
    from framelane.telemetry.gpus import GpuSample
    from framelane.telemetry.histogram import HistogramCounts
    from framelane.telemetry.meters import Counts, CountsSource
    from framelane.telemetry.requests import RequestCounts
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import NodeStats
    from framelane.telemetry.status import StatusBoard


_GPU_GAUGES: tuple[tuple[str, str, Callable[[GpuSample], float | None]], ...] = (
    ("utilization_ratio", "Share of the time in which a kernel ran.", lambda gpu: gpu.utilization),
    ("decoder_utilization_ratio", "Share of the video decoder in use.", lambda gpu: gpu.decoder_utilization),
    ("memory_used_bytes", "Memory in use, by all processes.", lambda gpu: gpu.memory_used_bytes),
    ("memory_total_bytes", "Memory there is.", lambda gpu: gpu.memory_total_bytes),
    ("temperature_celsius", "Temperature of the chip.", lambda gpu: gpu.temperature_c),
    ("power_watts", "Power drawn.", lambda gpu: gpu.power_w),
)


class FramelaneCollector(Collector):
    """All `framelane_` metrics, read at each scrape, so removed streams disappear at the next.

    Args:
        meters: counts and histograms.
        board: the streams' states.
        latest: returns the newest closed window, for rates (`StatsWindow.latest`).
        models: returns the loaded models.
        sinks: returns the health of every sink.
        node: this node's id.
    """

    def __init__(
        self,
        meters: CountsSource,
        board: StatusBoard,
        latest: Callable[[], NodeStats | None],
        models: Callable[[], Iterable[ModelInfo]],
        sinks: Callable[[], Sequence[SinkHealth]] = tuple,
        node: str = "",
    ) -> None:
        self._meters = meters
        self._board = board
        self._latest = latest
        self._models = models
        self._sinks = sinks
        self._about = {"version": __version__, "node": node}

    def collect(self) -> Iterator[Metric]:
        """Return every metric family."""
        counts = self._meters.snapshot()
        yield InfoMetricFamily("framelane_build", "The running version, and its node.", self._about)
        yield _engines(self._models())
        yield from _stream_counts(counts)
        yield from _stream_gauges(self._board.streams(), self._latest())
        yield from _histograms(counts)
        yield from _copies(counts)
        yield from _crops(counts)
        latest = self._latest()
        if latest is not None and latest.load is not None:
            yield GaugeMetricFamily(
                "framelane_load_ratio",
                "Inference asked for, as a share of what this node can do.",
                latest.load,
            )
        if latest is not None and latest.gpus:
            yield from _gpus(latest.gpus)
        sinks = self._sinks()
        yield from _sinks(sinks)
        for sink in sinks:
            if sink.name == "mqtt":
                yield from _mqtt(sink)


class RequestCollector(Collector):
    """Metrics of `/api/detect` requests; `counts` is called at each scrape."""

    def __init__(self, counts: Callable[[], RequestCounts]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Return both metric families."""
        counts = self._counts()
        requests = CounterMetricFamily(
            "framelane_detect_requests", "Requests to /api/detect, by status.", labels=("status",)
        )
        for status, count in sorted(counts.statuses.items()):
            requests.add_metric((str(status),), count)
        yield requests
        took = HistogramMetricFamily(
            "framelane_detect_request_seconds",
            "Begin of a request with a result to its answer, upload included.",
            unit="seconds",
        )
        took.add_metric((), _buckets(counts.took), counts.took.total)
        yield took


class MetricsPage:
    """The page of all metrics, process metrics included."""

    def __init__(self, *collectors: Collector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        for collector in collectors:
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    def __call__(self, accept: str) -> tuple[bytes, str]:
        """Return body and content type for an Accept header: OpenMetrics if accepted, else plain text."""
        try:
            return self._encoded(accept)
        # The library fails on some versions and escapings in the header.
        except (TypeError, ValueError):
            return self._encoded("")

    def _encoded(self, accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _engines(models: Iterable[ModelInfo]) -> Metric:
    family = GaugeMetricFamily(
        "framelane_engine_info", "The loaded models; always 1.", labels=("model", "hash", "backend")
    )
    for model in models:
        family.add_metric((model.name, model.hash, model.backend), 1)
    return family


def _stream_counts(counts: Counts) -> Iterator[Metric]:
    received = _counter("frames_received", "Pictures read from the source.")
    dropped = _counter("frames_dropped", "Frames that were not inferred, by reason.", "reason")
    inferred = _counter("frames_inferred", "Frames that a model ran on; a frame for two models counts twice.")
    published = _counter("results_published", "Results handed to the sinks.")
    left_out = _counter("results_left_out", "Results that `publish` leaves out, by reason.", "reason")
    reconnects = _counter("reconnects", "Times the stream came back after it was lost.")
    fallbacks = _counter("decoder_fallbacks", "Times NVDEC refused the stream, and the CPU decoded it.")
    capped = _counter("tracks_capped", "Objects that were not tracked because their stream had too many.")
    snapshots = _counter("snapshots", "Snapshots of events, by what became of them.", "fate")
    clips = _counter("clips", "Clips of events, by what became of them.", "fate")
    tracks = GaugeMetricFamily("framelane_tracks", "Objects that are tracked now.", labels=("stream",))
    offset = GaugeMetricFamily(
        "framelane_stream_clock_offset_seconds",
        "By how much the camera's clock is ahead of this host's.",
        labels=("stream",),
    )
    for name, stream in counts.streams.items():
        received.add_metric((name,), stream.received)
        for reason, count in stream.dropped.items():
            dropped.add_metric((name, reason), count)
        inferred.add_metric((name,), stream.inferred)
        published.add_metric((name,), stream.published)
        for reason, count in stream.left_out.items():
            left_out.add_metric((name, reason), count)
        reconnects.add_metric((name,), stream.reconnects)
        fallbacks.add_metric((name,), stream.fallbacks)
        tracks.add_metric((name,), stream.tracks)
        capped.add_metric((name,), stream.tracks_capped)
        for family, fates in ((snapshots, stream.snapshots), (clips, stream.clips)):
            for fate, count in fates.items():
                family.add_metric((name, fate), count)
        if stream.clock_offset_s is not None:
            offset.add_metric((name,), stream.clock_offset_s)
    objects = (tracks, capped, snapshots, clips)
    return iter((received, dropped, inferred, published, left_out, reconnects, fallbacks, *objects, offset))


def _stream_gauges(states: Sequence[StreamState], latest: NodeStats | None) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "framelane_stream_up", "Whether the stream is live (1) or not (0).", labels=("stream",)
    )
    # Only the current state, so that there is one series per stream, however many reasons it has had.
    now = GaugeMetricFamily(
        "framelane_stream_state",
        "The stream's state and its reason; always 1.",
        labels=("stream", "state", "reason"),
    )
    decoder = GaugeMetricFamily(
        "framelane_decoder_info", "What decodes the open stream; always 1.", labels=("stream", "decoder")
    )
    for state in states:
        up.add_metric((state.stream,), float(state.live))
        now.add_metric((state.stream, state.state, state.reason), 1)
        if state.details.decoder is not None and state.state in {"live", "stalled"}:
            decoder.add_metric((state.stream, state.details.decoder), 1)
    fps = GaugeMetricFamily(
        "framelane_stream_fps",
        "Frames a second in the last window of node.stats_s.",
        labels=("stream", "stage"),
    )
    present = {state.stream for state in states}
    for stream in latest.streams if latest else ():
        if stream.stream in present:
            fps.add_metric((stream.stream, "received"), stream.fps_in)
            fps.add_metric((stream.stream, "decoded"), stream.fps_decoded)
            fps.add_metric((stream.stream, "inferred"), stream.fps_inferred)
            fps.add_metric((stream.stream, "published"), stream.fps_published)
    return iter((up, now, decoder, fps))


def _histograms(counts: Counts) -> Iterator[Metric]:
    latency = HistogramMetricFamily(
        "framelane_latency_seconds",
        "Capture of a frame to publish of its result.",
        labels=("stream",),
        unit="seconds",
    )
    stage = HistogramMetricFamily(
        "framelane_stage_seconds",
        "Time by stage: queue is a frame's wait (by stream), the others are a batch's (by model).",
        labels=("stage", "stream", "model"),
        unit="seconds",
    )
    batch = HistogramMetricFamily("framelane_batch_size", "Frames in a batch.", labels=("model",))
    for name, stream in counts.streams.items():
        latency.add_metric((name,), _buckets(stream.latency), stream.latency.total)
        stage.add_metric(("queue", name, ""), _buckets(stream.queue), stream.queue.total)
    for name, model in counts.models.items():
        for label, histogram in model.stages.items():
            stage.add_metric((label, "", name), _buckets(histogram), histogram.total)
        batch.add_metric((name,), _buckets(model.batch_size), model.batch_size.total)
    return iter((latency, stage, batch))


def _copies(counts: Counts) -> Iterator[Metric]:
    missed = CounterMetricFamily(
        "framelane_frames_not_copied",
        "Frames on the GPU that snapshots could not use, for lack of room for a copy.",
        labels=("model",),
    )
    held = GaugeMetricFamily(
        "framelane_frame_copy_bytes", "Memory of the GPU for copies of frames.", labels=("model",)
    )
    for name, model in counts.models.items():
        missed.add_metric((name,), model.not_copied)
        held.add_metric((name,), model.copy_bytes)
    return iter((missed, held))


def _crops(counts: Counts) -> Iterator[Metric]:
    """Return what happened to crops of objects; no series without a second model."""
    sent = _counter("crops_sent", "Crops of tracked objects that went to a second model.", "model")
    dropped = _counter("crops_dropped", "Crops of tracked objects without an answer.", "model", "reason")
    took = HistogramMetricFamily(
        "framelane_crop_seconds",
        "Cutting of a crop to its answer in time.",
        labels=("stream", "model"),
        unit="seconds",
    )
    for name, stream in counts.streams.items():
        for model, crops in stream.crops.items():
            sent.add_metric((name, model), crops.sent)
            for reason, count in crops.dropped.items():
                dropped.add_metric((name, model, reason), count)
            took.add_metric((name, model), _buckets(crops.latency), crops.latency.total)
    return iter((sent, dropped, took))


def _gpus(samples: Sequence[GpuSample]) -> Iterator[Metric]:
    """Return GPU metrics as of the last window's end; values that the driver doesn't report are absent."""
    for key, text, value in _GPU_GAUGES:
        family = GaugeMetricFamily(f"framelane_gpu_{key}", text, labels=("gpu", "name"))
        for sample in samples:
            figure = value(sample)
            if figure is not None:
                family.add_metric((str(sample.index), sample.name), figure)
        yield family
    throttled = GaugeMetricFamily(
        "framelane_gpu_throttled",
        "Reasons why the GPU is slowed down now; always 1.",
        labels=("gpu", "name", "reason"),
    )
    for sample in samples:
        for reason in sample.throttle_reasons:
            throttled.add_metric((str(sample.index), sample.name, reason), 1)
    yield throttled


def _sinks(sinks: Sequence[SinkHealth]) -> Iterator[Metric]:
    labels = ("sink",)
    up = GaugeMetricFamily("framelane_sink_up", "Whether messages get through (1) or not (0).", labels=labels)
    queued = GaugeMetricFamily("framelane_sink_queued_messages", "Messages that wait.", labels=labels)
    delivered = CounterMetricFamily(
        "framelane_sink_delivered", "Messages acknowledged by the broker, or written.", labels=labels
    )
    dropped = CounterMetricFamily(
        "framelane_sink_dropped", "Messages given up, by reason.", labels=("sink", "reason")
    )
    for sink in sinks:
        up.add_metric((sink.name,), float(sink.connected))
        queued.add_metric((sink.name,), sink.queued)
        delivered.add_metric((sink.name,), sink.delivered)
        for reason, count in sink.dropped_by.items():
            dropped.add_metric((sink.name, reason), count)
    return iter((up, queued, delivered, dropped))


def _mqtt(sink: SinkHealth) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "framelane_mqtt_connected", "Whether the broker is connected.", float(sink.connected)
    )
    yield GaugeMetricFamily(
        "framelane_mqtt_spool_messages", "Messages that wait for the broker.", sink.queued
    )
    dropped = CounterMetricFamily(
        "framelane_mqtt_spool_dropped", "Messages given up, by reason.", labels=("reason",)
    )
    for reason, count in sink.dropped_by.items():
        dropped.add_metric((reason,), count)
    yield dropped
    spool = sink.spool
    if spool is not None:
        yield GaugeMetricFamily(
            "framelane_mqtt_spool_up",
            "Whether messages that wait are safe on disk.",
            float(spool.trouble is None),
        )
        yield GaugeMetricFamily(
            "framelane_mqtt_spool_bytes", "What the spool takes on disk.", spool.disk_bytes
        )
        yield GaugeMetricFamily(
            "framelane_mqtt_spool_oldest_seconds", "Age of the oldest message on disk.", spool.oldest_s or 0.0
        )


def _counter(name: str, text: str, *more_labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"framelane_{name}", text, labels=("stream", *more_labels))


def _buckets(histogram: HistogramCounts) -> list[tuple[str, float]]:
    """Return cumulative counts by upper bound, as the exposition formats require."""
    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
