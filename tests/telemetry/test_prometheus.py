from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from framelane import __version__
from framelane.core.frames import ModelInfo
from framelane.telemetry.gpus import GpuSample
from framelane.telemetry.meters import DROP_REASONS
from framelane.telemetry.prometheus import FramelaneCollector, MetricsPage
from framelane.telemetry.stats import ProcessSample, StatsWindow
from framelane.telemetry.status import StatusBoard, StreamDetails

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Metric

    from framelane.telemetry.meters import Meters

    from .conftest import FakeClock

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

DOCUMENTED = {
    "framelane_batch_size": "histogram",
    "framelane_build_info": "gauge",
    "framelane_decoder_fallbacks_total": "counter",
    "framelane_decoder_info": "gauge",
    "framelane_engine_info": "gauge",
    "framelane_frames_dropped_total": "counter",
    "framelane_frames_inferred_total": "counter",
    "framelane_frames_received_total": "counter",
    "framelane_gpu_decoder_utilization_ratio": "gauge",
    "framelane_gpu_memory_total_bytes": "gauge",
    "framelane_gpu_memory_used_bytes": "gauge",
    "framelane_gpu_power_watts": "gauge",
    "framelane_gpu_temperature_celsius": "gauge",
    "framelane_gpu_throttled": "gauge",
    "framelane_gpu_utilization_ratio": "gauge",
    "framelane_latency_seconds": "histogram",
    "framelane_load_ratio": "gauge",
    "framelane_mqtt_connected": "gauge",
    "framelane_mqtt_spool_bytes": "gauge",
    "framelane_mqtt_spool_dropped_total": "counter",
    "framelane_mqtt_spool_messages": "gauge",
    "framelane_mqtt_spool_oldest_seconds": "gauge",
    "framelane_mqtt_spool_up": "gauge",
    "framelane_reconnects_total": "counter",
    "framelane_results_left_out_total": "counter",
    "framelane_results_published_total": "counter",
    "framelane_stage_seconds": "histogram",
    "framelane_stream_clock_offset_seconds": "gauge",
    "framelane_stream_fps": "gauge",
    "framelane_stream_up": "gauge",
}

GPU = GpuSample(
    0, "NVIDIA Test 100", 0.73, 3 << 30, 80 << 30, 61.0, 0.4, 312.4, ("sw_power_cap", "hw_thermal")
)

GPU_LABELS = {"gpu": "0", "name": "NVIDIA Test 100"}


@dataclass
class Spool:
    disk_bytes: int = 4096
    oldest_s: float | None = 12.5
    trouble: str | None = None


@dataclass
class Sink:
    mqtt_connected: bool = True
    mqtt_spool_messages: int = 7
    mqtt_spool_dropped: Mapping[str, int] = field(default_factory=lambda: {"queue": 0, "size": 3})
    mqtt_spool: Spool | None = field(default_factory=Spool)


class Daemon:
    """Everything the collector reads, with a page over it."""

    def __init__(self, meters: Meters, clock: FakeClock, sink: Sink | None) -> None:
        self.meters = meters
        self.clock = clock
        self.board = StatusBoard(clock, lambda _state: None, lambda _node: None)
        self.gpus = [GPU, GpuSample(1, "NVIDIA Test 50")]
        self.window = StatsWindow(meters, clock, lambda: ProcessSample(1, 1.0), lambda: self.gpus)
        self.models = [ModelInfo("yolox", "695e750a5d57", "onnxruntime", ("person",))]
        collector = FramelaneCollector(
            meters, self.board, lambda: self.window.latest, lambda: self.models, sink
        )
        self.page = MetricsPage(collector)

    def work(self, stream: str = "lobby") -> None:
        meter = self.meters.stream(stream)
        self.board.stream(stream).frame_seen(self.clock.monotonic())
        for _ in range(50):
            meter.frame_received()
            meter.frame_decoded()
        meter.frame_dropped("replaced", 4)
        meter.frame_inferred(0.003, 0.020)
        meter.result_published(0.045)
        meter.result_published(20.0)
        meter.result_left_out("rate")
        self.meters.model("yolox").slots_opened(2)
        self.meters.model("yolox").batch_done(3, 0.001, 0.020, 0.002)
        self.clock.advance(2.0)
        self.window.close()

    def families(self) -> dict[str, Metric]:
        body, _ = self.page("")
        return {family.name: family for family in parse_text(body.decode())}

    def value(self, name: str, /, **labels: str) -> float | None:
        for family in self.families().values():
            for sample in family.samples:
                if sample.name == name and {k: v for k, v in sample.labels.items() if v} == labels:
                    return sample.value
        return None


@pytest.fixture
def daemon(meters: Meters, clock: FakeClock) -> Daemon:
    return Daemon(meters, clock, Sink())


def test_page_has_exactly_the_documented_metrics(daemon: Daemon) -> None:
    daemon.work()
    body, content_type = daemon.page("")
    kinds = dict(re.findall(r"^# TYPE (framelane_\S+) (\S+)$", body.decode(), re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (framelane_\S+) (.+)$", body.decode(), re.MULTILINE))
    assert kinds == DOCUMENTED
    assert set(helps) == set(DOCUMENTED)
    assert content_type.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("framelane_load_ratio", {}, 0.023 / 2 / 2.0 * 5),  # one frame inferred, four replaced
        ("framelane_frames_received_total", {"stream": "lobby"}, 50),
        ("framelane_frames_dropped_total", {"stream": "lobby", "reason": "replaced"}, 4),
        ("framelane_frames_dropped_total", {"stream": "lobby", "reason": "fps"}, 0),
        ("framelane_frames_inferred_total", {"stream": "lobby"}, 1),
        ("framelane_results_published_total", {"stream": "lobby"}, 2),
        ("framelane_results_left_out_total", {"stream": "lobby", "reason": "rate"}, 1),
        ("framelane_reconnects_total", {"stream": "lobby"}, 0),
        ("framelane_stream_up", {"stream": "lobby"}, 1),
        ("framelane_stream_fps", {"stream": "lobby", "stage": "received"}, 25.0),
        ("framelane_stream_fps", {"stream": "lobby", "stage": "decoded"}, 25.0),
        ("framelane_stream_fps", {"stream": "lobby", "stage": "inferred"}, 0.5),
        ("framelane_stream_fps", {"stream": "lobby", "stage": "published"}, 1.0),
        ("framelane_latency_seconds_bucket", {"stream": "lobby", "le": "0.04"}, 0),
        ("framelane_latency_seconds_bucket", {"stream": "lobby", "le": "0.06"}, 1),
        ("framelane_latency_seconds_bucket", {"stream": "lobby", "le": "10.0"}, 1),
        ("framelane_latency_seconds_bucket", {"stream": "lobby", "le": "+Inf"}, 2),
        ("framelane_latency_seconds_count", {"stream": "lobby"}, 2),
        ("framelane_latency_seconds_sum", {"stream": "lobby"}, 20.045),
        ("framelane_stage_seconds_count", {"stage": "queue", "stream": "lobby"}, 1),
        ("framelane_stage_seconds_sum", {"stage": "infer", "model": "yolox"}, 0.020),
        ("framelane_stage_seconds_sum", {"stage": "preprocess", "model": "yolox"}, 0.001),
        ("framelane_stage_seconds_sum", {"stage": "postprocess", "model": "yolox"}, 0.002),
        ("framelane_batch_size_bucket", {"model": "yolox", "le": "2.0"}, 0),
        ("framelane_batch_size_bucket", {"model": "yolox", "le": "4.0"}, 1),
        ("framelane_gpu_utilization_ratio", GPU_LABELS, 0.73),
        ("framelane_gpu_decoder_utilization_ratio", GPU_LABELS, 0.4),
        ("framelane_gpu_memory_used_bytes", GPU_LABELS, 3 << 30),
        ("framelane_gpu_memory_total_bytes", GPU_LABELS, 80 << 30),
        ("framelane_gpu_temperature_celsius", GPU_LABELS, 61.0),
        ("framelane_gpu_power_watts", GPU_LABELS, 312.4),
        ("framelane_gpu_throttled", {**GPU_LABELS, "reason": "hw_thermal"}, 1),
        ("framelane_mqtt_connected", {}, 1),
        ("framelane_mqtt_spool_messages", {}, 7),
        ("framelane_mqtt_spool_dropped_total", {"reason": "size"}, 3),
        ("framelane_mqtt_spool_dropped_total", {"reason": "queue"}, 0),
        ("framelane_mqtt_spool_bytes", {}, 4096),
        ("framelane_mqtt_spool_oldest_seconds", {}, 12.5),
        ("framelane_mqtt_spool_up", {}, 1),
        ("framelane_build_info", {"version": __version__}, 1),
        ("framelane_engine_info", {"model": "yolox", "hash": "695e750a5d57", "backend": "onnxruntime"}, 1),
    ],
)
def test_page_gives_the_value(daemon: Daemon, name: str, labels: dict[str, str], expected: float) -> None:
    daemon.work()
    assert daemon.value(name, **labels) == pytest.approx(expected)


def test_docs_list_every_metric_and_every_reason() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram|info) \|", text, re.MULTILINE)
    documented = {f"framelane_{name}" for name, _kind in rows}
    assert documented == set(DOCUMENTED)
    assert [reason for reason in DROP_REASONS if f"| `{reason}` |" not in text] == []


def test_decoder_is_told_of_open_streams_alone(daemon: Daemon) -> None:
    lobby = daemon.board.stream("lobby")
    lobby.opened(StreamDetails("h264", 640, 480, 25.0, "cpu"))
    lobby.frame_seen(daemon.clock.monotonic())
    assert daemon.value("framelane_decoder_info", stream="lobby", decoder="cpu") == 1
    lobby.down("lost", "the other side ended the stream")
    assert daemon.value("framelane_decoder_info", stream="lobby", decoder="cpu") is None


def test_page_is_openmetrics_when_asked_for(daemon: Daemon) -> None:
    daemon.work()
    body, content_type = daemon.page(OPENMETRICS)
    families = {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert families["framelane_latency_seconds"].unit == "seconds"
    assert {
        name for name in DOCUMENTED if name.removesuffix("_total").removesuffix("_info") not in families
    } == {"framelane_decoder_info", "framelane_engine_info"}


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "garbage",
        "text/plain;version=abc",
        "application/openmetrics-text;version=x.y",
        "application/openmetrics-text;version=1.0.0;escaping=nonsense",
        "application/openmetrics-text",
        OPENMETRICS + ";q=0.5,text/plain;version=0.0.4;q=0.2",
    ],
)
def test_page_survives_any_accept_header(daemon: Daemon, accept: str) -> None:
    body, content_type = daemon.page(accept)
    assert b"framelane_build_info" in body
    assert "text" in content_type


def test_page_shows_a_stream_that_is_not_live_as_down(daemon: Daemon) -> None:
    daemon.board.stream("gate").down("refused", "nothing listens")
    assert daemon.value("framelane_stream_up", stream="gate") == 0


def test_removed_stream_vanishes_at_once(daemon: Daemon) -> None:
    daemon.work("lobby")
    daemon.work("gate")
    daemon.meters.remove_stream("gate")
    daemon.board.remove("gate")
    body, _ = daemon.page("")
    assert b"gate" not in body
    assert b"lobby" in body


def test_page_has_no_broker_metrics_when_no_broker_is_configured(meters: Meters, clock: FakeClock) -> None:
    assert not [name for name in Daemon(meters, clock, None).families() if "mqtt" in name]


def test_page_has_process_metrics(daemon: Daemon) -> None:
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds"} <= set(
        daemon.families()
    )


def test_odd_label_values_are_escaped(daemon: Daemon) -> None:
    name = 'a"b\\c\nd'
    daemon.work(name)
    assert daemon.value("framelane_frames_received_total", stream=name) == 50


def test_buckets_never_fall_and_end_at_the_count(daemon: Daemon) -> None:
    daemon.work()
    for family in daemon.families().values():
        if family.type != "histogram":
            continue
        series: dict[tuple[str, ...], list[float]] = {}
        for sample in family.samples:
            key = tuple(f"{k}={v}" for k, v in sorted(sample.labels.items()) if k != "le")
            if sample.name.endswith("_bucket"):
                series.setdefault(key, []).append(sample.value)
            elif sample.name.endswith("_count"):
                assert series[key] == sorted(series[key])
                assert series[key][-1] == sample.value


def test_page_leaves_out_what_a_gpu_does_not_say(daemon: Daemon) -> None:
    daemon.work()
    assert b'gpu="0"' in daemon.page("")[0]
    assert b'gpu="1"' not in daemon.page("")[0]


def test_page_has_no_gpu_metrics_where_no_gpu_is_used(daemon: Daemon) -> None:
    daemon.gpus = []
    daemon.work()
    assert b"framelane_gpu_" not in daemon.page("")[0]
