"""The statistics as log lines, one a stream and one for the node; and as a headline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from framelane.telemetry.states import NodeState
    from framelane.telemetry.stats import LatencyMs, NodeStats, StreamStats

log = structlog.get_logger(__name__)


def log_stats(stats: NodeStats) -> None:
    """Log a window: `stream_stats` for each stream, then `node_stats`."""
    for stream in stats.streams:
        log.info("stream_stats", stream=stream.stream, **_figures(stream))
    rss_mb, cpu_cores = round(stats.rss_bytes / 1e6, 1), round(stats.cpu_cores, 2)
    log.info("node_stats", streams=len(stats.streams), **_figures(stats), rss_mb=rss_mb, cpu_cores=cpu_cores)


def headline(node: NodeState, latest: NodeStats | None) -> str:
    """The node in a few words: streams, the rate of the newest window, and whether the broker is missed."""
    rate = f", {latest.fps_inferred:.1f} FPS inferred" if latest is not None else ""
    broker = ", the broker is away" if node.reason == "broker" else ""
    return f"{node.streams_live} of {node.streams} streams live{rate}{broker}"


def _figures(stats: StreamStats | NodeStats) -> dict[str, object]:
    """Rounded, and without the drops that did not happen, so that a line fits a screen."""
    return {
        "fps_in": round(stats.fps_in, 1),
        "fps_decoded": round(stats.fps_decoded, 1),
        "fps_inferred": round(stats.fps_inferred, 1),
        "fps_published": round(stats.fps_published, 1),
        "dropped": {reason: count for reason, count in stats.dropped.items() if count},
        "latency_ms": _latency(stats.latency_ms),
    }


def _latency(latency_ms: LatencyMs | None) -> dict[str, float] | None:
    if latency_ms is None:
        return None
    return {"p50": round(latency_ms.p50, 1), "p95": round(latency_ms.p95, 1), "p99": round(latency_ms.p99, 1)}
