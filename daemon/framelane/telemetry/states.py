"""The states of streams and node that consumers see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StateName = Literal["connecting", "live", "stalled", "down", "disabled"]
NodeStateName = Literal["online", "degraded", "offline"]

ENDED: Literal["finished"] = "finished"
"""Reason of a file that was played once to its end: down, but no fault, so it does not degrade the node.

A camera's stream that ends is a fault and has the reason "ended"."""

MODEL_FAILING = "model"
"""Reason of a live stream with a model that fails on every batch."""


@dataclass(frozen=True, slots=True)
class StreamDetails:
    """Properties of an open stream; unknown ones are None.

    Attributes:
        codec: FFmpeg's name, such as "h264".
        width: width in pixels.
        height: height in pixels.
        fps: frames per second that the stream declares.
        decoder: "nvdec" or "cpu".
        clock: source of capture times: "rtcp", "playlist", "receive" or "media".
    """

    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    decoder: str | None = None
    clock: str | None = None


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream's state at one moment; safe to publish, because `text` is redacted.

    Attributes:
        stream: the stream's id.
        state: connecting, live, stalled, down or disabled.
        reason: one machine word, such as "ok", "starting", "silent" or "unauthorized".
        text: the reason in words.
        since: Unix time at which `state` began; a new reason within a state does not change it.
        reconnects: times the stream came back after it was lost.
        last_frame_s: monotonic time of the newest frame; None before the first.
        details: properties of the video.
    """

    stream: str
    state: StateName
    reason: str
    text: str
    since: float
    reconnects: int = 0
    last_frame_s: float | None = None
    details: StreamDetails = StreamDetails()

    @property
    def live(self) -> bool:
        """Whether frames arrive."""
        return self.state == "live"

    @property
    def model_failing(self) -> bool:
        """Whether the stream is live, but a model of it fails on every batch."""
        return self.live and self.reason == MODEL_FAILING

    @property
    def disabled(self) -> bool:
        """Whether the configuration disables the stream."""
        return self.state == "disabled"

    @property
    def ended(self) -> bool:
        """Whether the stream was played to its end."""
        return self.state == "down" and self.reason == ENDED


@dataclass(frozen=True, slots=True)
class NodeState:
    """The node's state at one moment.

    Attributes:
        state: online, degraded or offline.
        reason: one machine word: "ok", "starting", "streams", "model", "broker", "spool", "journal",
            "upload" or "stopping".
        text: the reason in words.
        since: Unix time at which `state` began.
        streams_live: streams that are live.
        streams: all streams.
        streams_disabled: streams that are disabled.
    """

    state: NodeStateName
    reason: str
    text: str
    since: float
    streams_live: int = 0
    streams: int = 0
    streams_disabled: int = 0
