from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from framelane import __version__
from framelane.core.drop_reasons import CROPS, DROPS
from framelane.core.frames import ModelInfo
from framelane.telemetry.gpus import GpuSample
from framelane.telemetry.prometheus import FramelaneCollector, MetricsPage
from framelane.telemetry.sink_health import SinkHealth, SpoolHealth
from framelane.telemetry.states import StreamDetails
from framelane.telemetry.stats import ProcessSample, StatsWindow
from framelane.telemetry.status import StatusBoard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import Metric

    from framelane.telemetry.meters import Meters

    from .conftest import FakeClock

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

DOCUMENTED = {
    "framelane_batch_size": "histogram",
    "framelane_build_info": "gauge",
    "framelane_clips_total": "counter",
    "framelane_decoder_fallbacks_total": "counter",
    "framelane_decoder_info": "gauge",
    "framelane_engine_info": "gauge",
    "framelane_frame_copy_bytes": "gauge",
    "framelane_frames_dropped_total": "counter",
    "framelane_frames_inferred_total": "counter",
    "framelane_frames_not_copied_total": "counter",
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
    "framelane_sink_delivered_total": "counter",
    "framelane_sink_dropped_total": "counter",
    "framelane_sink_queued_messages": "gauge",
    "framelane_sink_up": "gauge",
    "framelane_snapshots_total": "counter",
    "framelane_stage_seconds": "histogram",
    "framelane_stream_clock_offset_seconds": "gauge",
    "framelane_stream_fps": "gauge",
    "framelane_stream_state": "gauge",
    "framelane_stream_up": "gauge",
    "framelane_tracks": "gauge",
    "framelane_tracks_capped_total": "counter",
    "framelane_crops_sent_total": "counter",
    "framelane_crops_dropped_total": "counter",
    "framelane_crop_seconds": "histogram",
}

GPU = GpuSample(
    0, "NVIDIA Test 100", 0.73, 3 << 30, 80 << 30, 61.0, 0.4, 312.4, ("sw_power_cap", "hw_thermal")
)

GPU_LABELS = {"gpu": "0", "name": "NVIDIA Test 100"}


def mqtt(trouble: str | None = None) -> SinkHealth:
    return SinkHealth(
        "mqtt",
        connected=True,
        queued=7,
        delivered=0,
        dropped=3,
        last_error=None,
        dropped_by={"queue": 0, "size": 3},
        spool=SpoolHealth(messages=7, disk_bytes=4096, oldest_s=12.5, trouble=trouble),
    )


class Daemon:
    """Everything the collector reads, with a page over it."""

    def __init__(self, meters: Meters, clock: FakeClock, sinks: Sequence[SinkHealth] = ()) -> None:
        self.meters = meters
        self.clock = clock
        self.board = StatusBoard(clock, lambda _state: None, lambda _node: None)
        self.gpus = [GPU, GpuSample(1, "NVIDIA Test 50")]
        self.window = StatsWindow(meters, clock, lambda: ProcessSample(1, 1.0), lambda: self.gpus)
        self.models = [ModelInfo("yolox", "695e750a5d57", "onnxruntime", ("person",))]
        collector = FramelaneCollector(
            meters, self.board, lambda: self.window.latest, lambda: self.models, lambda: sinks
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
        self.meters.model("yolox").frames_copied(4, 1 << 20)
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
    return Daemon(meters, clock, [mqtt()])


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
        ("framelane_frames_not_copied_total", {"model": "yolox"}, 4),
        ("framelane_frame_copy_bytes", {"model": "yolox"}, 1 << 20),
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
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram|info) \|", text, re.MULTILINE)
    documented = {f"framelane_{name}" for name, _kind in rows}
    assert documented == set(DOCUMENTED)
    assert [reason for reason in (*DROPS, *CROPS) if f"| `{reason}` |" not in text] == []


def test_state_is_one_series_a_stream_with_its_reason(daemon: Daemon) -> None:
    lobby = daemon.board.stream("lobby")
    lobby.frame_seen(daemon.clock.monotonic())
    for reason in ("lost", "timeout", "unauthorized"):
        lobby.down(reason, "some text")
    daemon.board.disable("attic")
    (family,) = (each for each in daemon.families().values() if each.name == "framelane_stream_state")
    assert [sample.labels for sample in family.samples] == [
        {"stream": "lobby", "state": "down", "reason": "unauthorized"},
        {"stream": "attic", "state": "disabled", "reason": "disabled"},
    ]
    assert daemon.value("framelane_stream_up", stream="attic") == 0


def test_every_sink_is_told_of_by_its_name(meters: Meters, clock: FakeClock) -> None:
    board = StatusBoard(clock, lambda _state: None, lambda _node: None)
    sinks = [
        SinkHealth("mqtt", connected=True, queued=3, delivered=10, dropped=0, last_error=None),
        SinkHealth("jsonl", connected=False, queued=5, delivered=7, dropped=2, last_error="disk full",
                   dropped_by={"queue": 2}),
    ]  # fmt: skip
    collector = FramelaneCollector(meters, board, lambda: None, list, lambda: sinks, "gate-01")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse_text(MetricsPage(collector)("")[0].decode())
        for sample in family.samples
        if "sink" in family.name or "build" in family.name
    }
    assert samples == {
        ("framelane_build_info", "gate-01", __version__): 1,
        ("framelane_sink_up", "mqtt"): 1,
        ("framelane_sink_up", "jsonl"): 0,
        ("framelane_sink_queued_messages", "mqtt"): 3,
        ("framelane_sink_queued_messages", "jsonl"): 5,
        ("framelane_sink_delivered_total", "mqtt"): 10,
        ("framelane_sink_delivered_total", "jsonl"): 7,
        ("framelane_sink_dropped_total", "queue", "jsonl"): 2,
    }


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
    assert not [name for name in Daemon(meters, clock).families() if "mqtt" in name]


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
