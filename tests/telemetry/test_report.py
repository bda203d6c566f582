from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from framelane.telemetry.report import headline, log_stats, stats_lines
from framelane.telemetry.states import NodeState
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


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("stream", ["stream_stats", "node_stats"]), ("node", ["node_stats"]), ("off", [])],
)
def test_log_has_as_many_statistics_as_are_wanted(
    meters: Meters, clock: FakeClock, wanted: Any, expected: list[str]
) -> None:
    window = StatsWindow(meters, clock, lambda: ProcessSample(1, 0.0))
    meters.stream("lobby").frame_received()
    clock.advance(1.0)
    stats = window.close()
    with capture_logs() as lines:
        for write in stats_lines(wanted):
            write(stats)
    assert [line["event"] for line in lines] == expected


def test_headline_counts_the_streams_that_should_be_live() -> None:
    state = NodeState("online", "ok", "", 0.0, streams_live=2, streams=3, streams_disabled=1)
    assert headline(state, None) == "2 of 2 streams live (1 disabled)"
