"""States, status and statistics as messages, against their schemas."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from tests.sinks.examples import ORIGIN, checked, node_stats

import framelane
from framelane.messages.reports import (
    last_will,
    node_stats_message,
    removed_message,
    state_message,
    stats_message,
    status_message,
)
from framelane.telemetry.sink_health import SinkHealth, SpoolHealth
from framelane.telemetry.states import NodeState, StreamDetails, StreamState


def test_removed_message_is_an_empty_one_that_the_broker_forgets() -> None:
    made = removed_message("lobby")
    assert (made.kind, made.stream, made.payload, made.retain) == ("state", "lobby", b"", True)


def test_last_will_says_offline_without_a_time_that_nobody_knows() -> None:
    made = last_will(ORIGIN)
    assert (made.kind, made.stream, made.retain) == ("status", None, True)
    assert checked(made) == {
        "schema": "framelane.status/1",
        "node": "gate-01",
        "run": "run-1",
        "state": "offline",
        "reason": "lost",
        "text": "the daemon or its network went away",
        "since": None,
        "streams": 0,
        "streams_live": 0,
        "streams_disabled": 0,
        "version": framelane.__version__,
    }


def test_stats_messages_are_not_retained_and_go_to_their_stream_or_node() -> None:
    stats = node_stats()
    of_stream, of_node = (
        stats_message(ORIGIN, stats.streams[0], 0.0),
        node_stats_message(ORIGIN, stats, [], 0.0),
    )
    assert (of_stream.kind, of_stream.stream, of_stream.retain) == ("stats", "lobby", False)
    assert (of_node.kind, of_node.stream, of_node.retain) == ("stats", None, False)


def test_stats_are_rounded_and_tell_when_their_window_ended() -> None:
    stats = replace(node_stats().streams[0], fps_in=24.98765, queue_ms=1.005, infer_ms=0.0)
    body = orjson.loads(stats_message(ORIGIN, stats, 0.25).payload)
    found = tuple(body[key] for key in ("at", "window_s", "fps_in", "fps_decoded", "infer_ms"))
    assert found == ("1970-01-01T00:00:00.250000Z", 10.0, 24.99, 25.0, 0.0)


def test_node_stats_tell_of_models_and_sinks_in_order() -> None:
    sinks = [
        SinkHealth(name, connected=False, queued=0, delivered=0, dropped=0, last_error="no") for name in "ba"
    ]
    body = checked(node_stats_message(ORIGIN, node_stats(), sinks, 0.0))
    assert [sink["name"] for sink in body["sinks"]] == ["b", "a"]
    assert (body["streams"], body["cpu_cores"], body["models"]) == (
        1,
        0.512,
        [
            {
                "name": "yolox",
                "batches_per_s": 2.5,
                "batch_size": 12.35,
                "preprocess_ms": 12.35,
                "infer_ms": 12.35,
                "postprocess_ms": 12.35,
            }
        ],
    )


def test_state_message_is_retained_and_fits_its_schema() -> None:
    details = StreamDetails("h264", 640, 480, 25.0, "cpu", "receive")
    made = state_message(ORIGIN, StreamState("lobby", "live", "ok", "frames arrive", 0.0, 2, 5.0, details))
    body = checked(made)
    assert made.retain
    assert (
        body["state"],
        body["reason"],
        body["since"],
        body["reconnects"],
        body["video"]["codec"],
    ) == ("live", "ok", "1970-01-01T00:00:00.000000Z", 2, "h264")


@pytest.mark.parametrize("state", ["connecting", "stalled", "down"])
def test_state_message_fits_its_schema_when_nothing_is_known_of_the_video(state: str) -> None:
    checked(state_message(ORIGIN, StreamState("lobby", state, "silent", "", 0.0)))  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["online", "degraded", "offline"])
def test_status_message_is_retained_and_fits_its_schema(state: str) -> None:
    made = status_message(ORIGIN, NodeState(state, "streams", "not live: lobby", 0.0, 1, 2))  # type: ignore[arg-type]
    body = checked(made)
    assert made.retain
    assert (state, 1, 2) == (body["state"], body["streams_live"], body["streams"])


@pytest.mark.parametrize("idle", [False, True])
def test_stats_messages_fit_their_schemas(*, idle: bool) -> None:
    stats = node_stats(idle=idle)
    of_stream = checked(stats_message(ORIGIN, stats.streams[0], 0.0))
    health = SinkHealth(
        "mqtt",
        connected=True,
        queued=3,
        delivered=5,
        dropped=1,
        last_error=None,
        dropped_by={"size": 1},
        spool=None if idle else SpoolHealth(2, 4096, 12.34, "the disk is full"),
    )
    of_node = checked(node_stats_message(ORIGIN, stats, [health], 0.0))
    assert (None if idle else {"p50": 30.12, "p95": 45.0, "p99": 51.0}) == of_stream["latency_ms"]
    assert of_node["sinks"][0] == {
        "name": "mqtt",
        "connected": True,
        "queued": 3,
        "dropped": 1,
        "delivered": 5,
        "dropped_by": {"size": 1},
        "spool": None
        if idle
        else {"messages": 2, "bytes": 4096, "oldest_s": 12.3, "trouble": "the disk is full"},
    }


def test_node_stats_tell_how_each_gpu_fares() -> None:
    assert checked(node_stats_message(ORIGIN, node_stats(), [], 0.0))["gpus"] == [
        {
            "index": 0,
            "name": "NVIDIA Test 100",
            "utilization": 0.73,
            "decoder_utilization": 0.4,
            "memory_used_bytes": 3 << 30,
            "memory_total_bytes": 80 << 30,
            "temperature_c": 61.0,
            "power_w": 312.4,
            "throttled": ["sw_power_cap"],
        }
    ]
