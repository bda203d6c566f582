"""Measures a whole configuration: rates at each stage, fairness, drops, latency, CPU and memory."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framelane.measure.figures import Percentiles, slowest_to_fastest
from framelane.measure.host import Host, describe_host
from framelane.measure.report import LATENCY_COLUMNS, Section, figures_section, latency_cells, number
from framelane.node.daemon import make_node
from framelane.telemetry.stats import StatsWindow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.config.sections.schema import Config
    from framelane.node.node import Node
    from framelane.telemetry.meters import CountsSource
    from framelane.telemetry.stats import ModelStats, NodeStats, StreamStats

_SAMPLE_S = 0.5
_RATES = ("fps_in", "fps_decoded", "fps_inferred", "fps_published")


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """One stream: frames per second after each stage, drops by reason, latency from capture to publish."""

    stream: str
    fps_in: float
    fps_decoded: float
    fps_inferred: float
    fps_published: float
    dropped: Mapping[str, int]
    latency_ms: Percentiles | None


@dataclass(frozen=True, slots=True)
class PipelineBench:
    """Figures for a running configuration.

    Attributes:
        seconds: length of the window.
        streams: each stream.
        total: their sums, and the latency over all results.
        models: batches and stage times.
        slowest_to_fastest: inferred frames/s of the slowest stream over the fastest's.
        cpu_cores: CPU of the process, in cores.
        cpu_ms_a_frame: CPU of the process per inferred frame, including the decoding of dropped ones.
        rss_mb: largest resident memory among samples every half second.
        delivered: messages that the sinks delivered in the window.
        undelivered: messages that the sinks dropped in it.
    """

    host: Host
    seconds: float
    streams: tuple[StreamFigures, ...]
    total: StreamFigures
    models: tuple[ModelStats, ...]
    slowest_to_fastest: float | None
    cpu_cores: float
    cpu_ms_a_frame: float | None
    rss_mb: float
    delivered: int
    undelivered: int

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return asdict(self)

    def sections(self) -> tuple[Section, ...]:
        """Return tables for streams, models and the process."""
        columns = ("stream", "in/s", "decoded/s", "inferred/s", "published/s", "dropped", *LATENCY_COLUMNS)
        rows = tuple(_stream_row(stream) for stream in (*self.streams, self.total))
        return (
            Section(f"Pipeline over {self.seconds:.1f} s; latency in ms\n{self.host}", columns, rows),
            self._models(),
            self._process(),
        )

    def _models(self) -> Section:
        columns = ("model", "batches/s", "batch", "preprocess ms", "infer ms", "postprocess ms")
        rows = tuple(
            (
                model.model,
                number(model.batches_per_s),
                *(
                    number(value, 2)
                    for value in (
                        model.batch_size,
                        model.preprocess_ms,
                        model.infer_ms,
                        model.postprocess_ms,
                    )
                ),
            )
            for model in self.models
        )
        return Section("Models, means per batch", columns, rows)

    def _process(self) -> Section:
        figures = {
            "slowest/fastest stream": number(self.slowest_to_fastest, 3),
            "CPU cores": number(self.cpu_cores, 2),
            "CPU ms per inferred frame": number(self.cpu_ms_a_frame, 2),
            "RSS MB": number(self.rss_mb, 0),
            "messages delivered": str(self.delivered),
            "messages dropped": str(self.undelivered),
        }
        return figures_section("Process", figures)


def bench_pipeline(config: Config, seconds: float = 30.0, warmup_s: float = 5.0) -> PipelineBench:
    """Run a configuration in this process, with its real sources and sinks, and measure it.

    Args:
        config: what to run.
        seconds: how long to measure.
        warmup_s: how long to wait first, while cameras connect and caches fill.

    Raises:
        FramelaneError: the node can't start.
    """
    host = describe_host()
    node = make_node(config, threading.Event())
    try:
        node.start()
        _pass(node, warmup_s)
        watch = _Watch(node)
        _pass(node, seconds, watch)
        return watch.report(host)
    finally:
        node.stop(config.node.shutdown_s)


def _pass(node: Node, seconds: float, watch: _Watch | None = None) -> None:
    """Let time pass; return early if all streams end."""
    end_s = time.monotonic() + seconds
    nothing = threading.Event()
    while (left_s := end_s - time.monotonic()) > 0 and not node.ended:
        nothing.wait(min(left_s, _SAMPLE_S))
        if watch is not None:
            watch.sample()


class _Watch:
    """Samples a running node, often enough that no latency is overwritten in its meter's ring."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._used = node.pipeline.used
        self._window = StatsWindow(node.pipeline.fresh_meters, node.clock, self._used)
        self._latencies = _Latencies(node.pipeline.fresh_meters)
        self._sinks_before = _sunk(node)
        self._rss_bytes = 0

    def sample(self) -> None:
        self._latencies.read()
        self._rss_bytes = max(self._rss_bytes, self._used().rss_bytes)

    def report(self, host: Host) -> PipelineBench:
        stats, sinks = self._window.close(), _sunk(self._node)
        self.sample()
        streams = tuple(_stream(stream, self._latencies.of(stream.stream)) for stream in stats.streams)
        return PipelineBench(
            host=host,
            seconds=stats.window_s,
            streams=streams,
            total=_total(stats, self._latencies.all()),
            models=stats.models,
            slowest_to_fastest=slowest_to_fastest([stream.fps_inferred for stream in streams]),
            cpu_cores=stats.cpu_cores,
            cpu_ms_a_frame=1e3 * stats.cpu_cores / stats.fps_inferred if stats.fps_inferred else None,
            rss_mb=self._rss_bytes / 1e6,
            delivered=sinks[0] - self._sinks_before[0],
            undelivered=sinks[1] - self._sinks_before[1],
        )


class _Latencies:
    """Collects every latency from now on, by stream."""

    def __init__(self, meters: CountsSource) -> None:
        self._meters = meters
        self._published = {name: counts.published for name, counts in meters.snapshot().streams.items()}
        self._seen_s: dict[str, list[float]] = {name: [] for name in self._published}

    def read(self) -> None:
        for name, counts in self._meters.snapshot().streams.items():
            self._seen_s[name].extend(counts.latencies_since(self._published[name]))
            self._published[name] = counts.published

    def of(self, stream: str) -> Percentiles | None:
        return Percentiles.of_seconds(self._seen_s[stream])

    def all(self) -> Percentiles | None:
        return Percentiles.of_seconds([latency_s for seen_s in self._seen_s.values() for latency_s in seen_s])


def _stream(stats: StreamStats, latency_ms: Percentiles | None) -> StreamFigures:
    rates = {name: getattr(stats, name) for name in _RATES}
    return StreamFigures(stream=stats.stream, dropped=stats.dropped, latency_ms=latency_ms, **rates)


def _total(stats: NodeStats, latency_ms: Percentiles | None) -> StreamFigures:
    rates = {name: getattr(stats, name) for name in _RATES}
    return StreamFigures(stream="total", dropped=stats.dropped, latency_ms=latency_ms, **rates)


def _sunk(node: Node) -> tuple[int, int]:
    """Return how many messages the sinks have delivered and dropped."""
    healths = node.publisher.health()
    return sum(health.delivered for health in healths), sum(health.dropped for health in healths)


def _stream_row(stream: StreamFigures) -> tuple[str, ...]:
    dropped = " ".join(f"{reason} {count}" for reason, count in stream.dropped.items() if count)
    rates = (number(getattr(stream, name)) for name in _RATES)
    return (stream.stream, *rates, dropped or "0", *latency_cells(stream.latency_ms))
