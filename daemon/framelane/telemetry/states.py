"""The states that consumers see, of a stream and of the node, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StateName = Literal["connecting", "live", "stalled", "down"]
NodeStateName = Literal["online", "degraded", "offline"]

ENDED = "finished"
"""Reason of a file that was played once to its end: down, but no fault, so it degrades nothing.

Not "ended", which a camera's stream may do to our regret."""


@dataclass(frozen=True, slots=True)
class StreamDetails:
    """What is known of an open stream; None where it is not known (yet).

    Attributes:
        codec: FFmpeg's name, such as "h264".
        width: in pixels.
        height: in pixels.
        fps: frames a second that the stream declares.
        decoder: what decodes it: "nvdec" or "cpu".
        clock: where capture times come from: "rtcp", "receive" or "media".
    """

    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    decoder: str | None = None
    clock: str | None = None


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream's state at one moment; safe to publish, for `text` is redacted.

    Attributes:
        stream: the stream's id.
        state: connecting, live, stalled or down.
        reason: one machine word, such as "ok", "starting", "silent" or "unauthorized".
        text: the same for a person.
        since: Unix time at which `state` began; a new reason within a state leaves it.
        reconnects: times the stream came back after it was lost.
        last_frame_s: monotonic time of the newest frame, None before the first.
        details: what is known of the video.
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
    def ended(self) -> bool:
        """Whether the stream is through, as it should be."""
        return self.state == "down" and self.reason == ENDED


@dataclass(frozen=True, slots=True)
class NodeState:
    """The node's state at one moment.

    Attributes:
        state: online, degraded or offline.
        reason: one machine word: "ok", "starting", "streams", "broker", "spool" or "stopping".
        text: the same for a person.
        since: Unix time at which `state` began.
        streams_live: streams that are live.
        streams: streams in all.
    """

    state: NodeStateName
    reason: str
    text: str
    since: float
    streams_live: int = 0
    streams: int = 0
