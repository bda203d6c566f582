from __future__ import annotations

from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from framelane.telemetry.report import log_stats
from framelane.telemetry.stats import ProcessSample, StatsWindow

if TYPE_CHECKING:
    from framelane.telemetry.meters import Meters

    from .conftest import FakeClock


def test_log_stats_writes_a_line_a_stream_and_one_for_the_node(meters: Meters, clock: FakeClock) -> None:
    window = StatsWindow(meters, clock, lambda: ProcessSample(123_456_789, 0.0))
    for name in ("lobby", "gate"):
        meters.stream(name).frame_received()
    meters.stream("gate").frame_dropped("replaced", 3)
    meters.stream("gate").result_published(0.05049)
    clock.advance(1.0)
    with capture_logs() as lines:
        log_stats(window.close())
    assert [(line["event"], line.get("stream")) for line in lines] == [
        ("stream_stats", "lobby"),
        ("stream_stats", "gate"),
        ("node_stats", None),
    ]
    assert [line["dropped"] for line in lines] == [{}, {"replaced": 3}, {"replaced": 3}]
    assert lines[0]["fps_in"] == 1.0
    assert [line["latency_ms"] for line in lines] == [
        None,
        {"p50": 50.5, "p95": 50.5, "p99": 50.5},
        {"p50": 50.5, "p95": 50.5, "p99": 50.5},
    ]
    assert (lines[2]["rss_mb"], lines[2]["cpu_cores"]) == (123.5, 0.0)
