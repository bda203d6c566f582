"""Statistics as log lines, one per stream and one for the node, and as a headline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.telemetry.states import NodeState
    from framelane.telemetry.stats import LatencyMs, NodeStats, StreamStats

log = structlog.get_logger(__name__)


def stats_lines(wanted: Literal["stream", "node", "off"]) -> Sequence[Callable[[NodeStats], None]]:
    """Return what logs a window: each stream and the node for `log.stats` "stream", only the node for "node"."""
    return {"stream": [log_stats], "node": [_log_node], "off": []}[wanted]


def log_stats(stats: NodeStats) -> None:
    """Log a window: `stream_stats` for each stream, then `node_stats`."""
    for stream in stats.streams:
        log.info("stream_stats", stream=stream.stream, **_figures(stream))
    _log_node(stats)


def _log_node(stats: NodeStats) -> None:
    rss_mb, cpu_cores = round(stats.rss_bytes / 1e6, 1), round(stats.cpu_cores, 2)
    log.info("node_stats", streams=len(stats.streams), **_figures(stats), rss_mb=rss_mb, cpu_cores=cpu_cores)


def headline(node: NodeState, latest: NodeStats | None) -> str:
    """Return a summary: live streams, the newest window's inference rate, and whether the broker is away."""
    rate = f", {latest.fps_inferred:.1f} FPS inferred" if latest is not None else ""
    broker = ", the broker is away" if node.reason == "broker" else ""
    enabled = node.streams - node.streams_disabled
    disabled = f" ({node.streams_disabled} disabled)" if node.streams_disabled else ""
    return f"{node.streams_live} of {enabled} streams live{disabled}{rate}{broker}"


def _figures(stats: StreamStats | NodeStats) -> dict[str, object]:
    """Return rounded figures, without zero drops, so that a line fits a screen."""
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
