"""The less frequent messages: a stream's state, the node's status, and the statistics of both."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from framelane import __version__
from framelane.messages.detections import Message
from framelane.messages.timestamps import timestamp
from framelane.telemetry.states import NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from framelane.messages.detections import Origin
    from framelane.telemetry.gpus import GpuSample
    from framelane.telemetry.sink_health import SinkHealth, SpoolHealth
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import CropStats, LatencyMs, ModelStats, NodeStats, StreamStats


def state_message(origin: Origin, state: StreamState) -> Message:
    """Encode a stream's state; retained, so that later subscribers get it at once."""
    body = {
        "schema": "framelane.state/1",
        "node": origin.node,
        "stream": state.stream,
        "run": origin.run,
        "state": state.state,
        "reason": state.reason,
        "text": state.text,
        "since": timestamp(state.since),
        "reconnects": state.reconnects,
        "video": asdict(state.details),
    }
    return Message("state", state.stream, orjson.dumps(body), retain=True)


def removed_message(stream: str) -> Message:
    """Delete a removed stream's retained state, with an empty retained message (MQTT 5, 3.3.1.3)."""
    return Message("state", stream, b"", retain=True)


def status_message(origin: Origin, state: NodeState) -> Message:
    """Encode the node's status; retained."""
    return Message("status", None, orjson.dumps(_status(origin, state)), retain=True)


def last_will(origin: Origin) -> Message:
    """Encode the status that the broker publishes when the connection breaks.

    Only the broker knows when that is.
    """
    lost = NodeState("offline", "lost", "the daemon or its network went away", 0.0)
    return Message("status", None, orjson.dumps({**_status(origin, lost), "since": None}), retain=True)


def _status(origin: Origin, state: NodeState) -> dict[str, Any]:
    return {
        "schema": "framelane.status/1",
        "node": origin.node,
        "run": origin.run,
        "state": state.state,
        "reason": state.reason,
        "text": state.text,
        "since": timestamp(state.since),
        "streams": state.streams,
        "streams_live": state.streams_live,
        "streams_disabled": state.streams_disabled,
        "version": __version__,
    }


def stats_message(origin: Origin, stats: StreamStats, at: float) -> Message:
    """Encode one stream's figures over a window that ended at this Unix time."""
    body = {
        "schema": "framelane.stats/1",
        "node": origin.node,
        "stream": stats.stream,
        "run": origin.run,
        "at": timestamp(at),
        **_rates(stats),
        "queue_ms": _rounded(stats.queue_ms),
        "infer_ms": _rounded(stats.infer_ms),
        "reconnects": stats.reconnects,
        "crops": {model: _crops(crops) for model, crops in stats.crops.items()},
    }
    return Message("stats", stats.stream, orjson.dumps(body), retain=False)


def node_stats_message(origin: Origin, stats: NodeStats, sinks: Iterable[SinkHealth], at: float) -> Message:
    """Encode the node's totals over a window that ended at this Unix time, and the health of its sinks."""
    body = {
        "schema": "framelane.node-stats/1",
        "node": origin.node,
        "run": origin.run,
        "at": timestamp(at),
        "streams": len(stats.streams),
        **_rates(stats),
        "models": [_model(model) for model in stats.models],
        "sinks": [_sink(sink) for sink in sinks],
        "rss_bytes": stats.rss_bytes,
        "cpu_cores": _rounded(stats.cpu_cores, 3),
        "gpus": [_gpu(gpu) for gpu in stats.gpus],
    }
    return Message("stats", None, orjson.dumps(body), retain=False)


def _rates(stats: StreamStats | NodeStats) -> dict[str, Any]:
    return {
        "window_s": _rounded(stats.window_s, 3),
        "fps_in": _rounded(stats.fps_in),
        "fps_decoded": _rounded(stats.fps_decoded),
        "fps_inferred": _rounded(stats.fps_inferred),
        "fps_published": _rounded(stats.fps_published),
        "dropped": dict(stats.dropped),
        "left_out": dict(stats.left_out),
        "latency_ms": _percentiles(stats.latency_ms),
    }


def _crops(stats: CropStats) -> dict[str, Any]:
    return {
        "sent": stats.sent,
        "answered": stats.answered,
        "dropped": dict(stats.dropped),
        "latency_ms": _rounded(stats.latency_ms),
    }


def _percentiles(latency: LatencyMs | None) -> dict[str, float | None] | None:
    if latency is None:
        return None
    return {"p50": _rounded(latency.p50), "p95": _rounded(latency.p95), "p99": _rounded(latency.p99)}


def _model(stats: ModelStats) -> dict[str, Any]:
    return {
        "name": stats.model,
        "batches_per_s": _rounded(stats.batches_per_s),
        "batch_size": _rounded(stats.batch_size),
        "preprocess_ms": _rounded(stats.preprocess_ms),
        "infer_ms": _rounded(stats.infer_ms),
        "postprocess_ms": _rounded(stats.postprocess_ms),
    }


def _gpu(sample: GpuSample) -> dict[str, Any]:
    return {
        "index": sample.index,
        "name": sample.name,
        "utilization": _rounded(sample.utilization, 3),
        "decoder_utilization": _rounded(sample.decoder_utilization, 3),
        "memory_used_bytes": sample.memory_used_bytes,
        "memory_total_bytes": sample.memory_total_bytes,
        "temperature_c": _rounded(sample.temperature_c, 1),
        "power_w": _rounded(sample.power_w, 1),
        "throttled": list(sample.throttle_reasons),
    }


def _sink(health: SinkHealth) -> dict[str, Any]:
    return {
        "name": health.name,
        "connected": health.connected,
        "queued": health.queued,
        "dropped": health.dropped,
        "delivered": health.delivered,
        "dropped_by": dict(health.dropped_by),
        "spool": None if health.spool is None else _spool(health.spool),
    }


def _spool(health: SpoolHealth) -> dict[str, Any]:
    return {
        "messages": health.messages,
        "bytes": health.disk_bytes,
        "oldest_s": _rounded(health.oldest_s, 1),
        "trouble": health.trouble,
    }


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
