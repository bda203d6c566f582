"""The `/api/status` route: the node and its streams, with statistics of the last window."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel, Field

from framelane import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from framelane.telemetry.states import NodeState, StreamState
    from framelane.telemetry.stats import LatencyMs, NodeStats, StreamStats


class LatencyReply(BaseModel):
    """Percentiles of the latency from capture to publish, in milliseconds."""

    p50: float
    p95: float
    p99: float


class FiguresReply(BaseModel):
    """Rates (per second) and drops over the last window."""

    window_s: float
    fps_in: float
    fps_decoded: float
    fps_inferred: float
    fps_published: float
    dropped: dict[str, int] = Field(description="Frames that were not inferred, by reason.")
    latency_ms: LatencyReply | None


class NodeReply(BaseModel):
    """State and statistics of the node."""

    id: str
    version: str
    state: str
    reason: str
    text: str
    since: datetime
    streams_live: int
    streams: int
    streams_disabled: int
    figures: FiguresReply | None = Field(description="Totals over the streams; null before the first window.")
    rss_bytes: int | None
    cpu_cores: float | None


class StreamReply(BaseModel):
    """State and statistics of one stream."""

    id: str
    state: str
    reason: str
    text: str
    since: datetime
    reconnects: int
    last_frame_age_s: float | None = Field(
        description="Seconds since the newest frame; null before the first."
    )
    codec: str | None
    width: int | None
    height: int | None
    fps: float | None = Field(description="Frames per second that the stream declares.")
    decoder: str | None
    clock: str | None
    preview: bool = Field(description="Whether the live page plays the stream's `preview_url`.")
    figures: FiguresReply | None


class StatusReply(BaseModel):
    """The node and its streams."""

    node: NodeReply
    streams: list[StreamReply]


def describe(
    node_id: str,
    node: NodeState,
    streams: Iterable[StreamState],
    latest: NodeStats | None,
    now_s: float,
    previewed: Collection[str] = (),
) -> StatusReply:
    """Return the reply for the states, the newest statistics and the monotonic time.

    `previewed` are the ids of streams with a `preview_url`.
    """
    figures = {stats.stream: _figures(stats) for stats in latest.streams} if latest else {}
    return StatusReply(
        node=NodeReply(
            id=node_id,
            version=__version__,
            state=node.state,
            reason=node.reason,
            text=node.text,
            since=_moment(node.since),
            streams_live=node.streams_live,
            streams=node.streams,
            streams_disabled=node.streams_disabled,
            figures=_figures(latest) if latest else None,
            rss_bytes=latest.rss_bytes if latest else None,
            cpu_cores=latest.cpu_cores if latest else None,
        ),
        streams=[
            _stream(state, figures.get(state.stream), now_s, preview=state.stream in previewed)
            for state in streams
        ],
    )


def router(status: Callable[[], StatusReply]) -> APIRouter:
    """Return the route; `status` is called on the HTTP thread for each request."""
    routes = APIRouter(prefix="/api", tags=["status"])

    @routes.get("/status")
    async def get_status() -> StatusReply:
        """Return the node and its streams."""
        return status()

    return routes


def _stream(state: StreamState, figures: FiguresReply | None, now_s: float, *, preview: bool) -> StreamReply:
    details = state.details
    return StreamReply(
        id=state.stream,
        state=state.state,
        reason=state.reason,
        text=state.text,
        since=_moment(state.since),
        reconnects=state.reconnects,
        last_frame_age_s=None if state.last_frame_s is None else max(now_s - state.last_frame_s, 0.0),
        codec=details.codec,
        width=details.width,
        height=details.height,
        fps=details.fps,
        decoder=details.decoder,
        clock=details.clock,
        preview=preview,
        figures=figures,
    )


def _figures(stats: StreamStats | NodeStats) -> FiguresReply:
    return FiguresReply(
        window_s=stats.window_s,
        fps_in=stats.fps_in,
        fps_decoded=stats.fps_decoded,
        fps_inferred=stats.fps_inferred,
        fps_published=stats.fps_published,
        dropped=dict(stats.dropped),
        latency_ms=_latency(stats.latency_ms),
    )


def _latency(latency_ms: LatencyMs | None) -> LatencyReply | None:
    return (
        None
        if latency_ms is None
        else LatencyReply(p50=latency_ms.p50, p95=latency_ms.p95, p99=latency_ms.p99)
    )


def _moment(wall_s: float) -> datetime:
    return datetime.fromtimestamp(wall_s, timezone.utc)
