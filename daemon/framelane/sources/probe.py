"""Opens a stream for a few seconds and says what is in it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framelane.config.schema import StreamOptions
from framelane.core.clock import Clock, SystemClock
from framelane.core.errors import SourceError
from framelane.sources.container import ContainerSource
from framelane.sources.faults import NO_VIDEO
from framelane.sources.hangup import hang_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.sources.source import Decoded

_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a few seconds of a stream showed.

    Attributes:
        codec: FFmpeg's name.
        width: in pixels.
        height: in pixels.
        pixel_format: FFmpeg's name.
        declared_fps: what the stream says, None where it says nothing.
        measured_fps: frames decoded a second of the stream's own time, or of ours where it has none.
        clock: where capture times would come from: "rtcp", "receive" or "media".
        clock_offset_ms: the camera's clock against ours, None without one.
        first_frame_s: from opening to the first decoded frame.
        frames: frames decoded.
        packets: video packets read.
        undecodable: frames that could not be decoded.
    """

    codec: str
    width: int
    height: int
    pixel_format: str
    declared_fps: float | None
    measured_fps: float
    clock: str
    clock_offset_ms: float | None
    first_frame_s: float
    frames: int
    packets: int
    undecodable: int

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


@dataclass
class _Tally:
    """Counts a source's packets and failures."""

    packets: int = 0
    undecodable: int = 0

    def frame_received(self) -> None:
        self.packets += 1

    def frame_dropped(self, reason: str, count: int = 1) -> None:
        del reason
        self.undecodable += count


def probe_stream(url: str, seconds: float, transport: str = "tcp", clock: Clock | None = None) -> ProbeReport:
    """Read a stream for `seconds` from its first frame on, or until no more video comes.

    Raises:
        SourceError: it can't be opened, or no frame of it can be decoded.
    """
    clock = clock or SystemClock()
    tally = _Tally()
    opened_s = clock.monotonic()
    options = StreamOptions.model_validate({"transport": transport})
    with (
        ContainerSource(url, options, clock, tally) as source,
        _hanging_up(source, options.read_timeout_s, clock) as silent,
    ):
        seen = _Seen(clock)
        try:
            for decoded in source.pictures():
                seen.add(decoded)
                if seen.last_s - seen.first_s >= seconds:
                    break
        except SourceError:
            if not silent.is_set():
                raise
            if seen.newest is None:
                raise SourceError("timeout", NO_VIDEO) from None
        if seen.newest is None:
            raise SourceError("undecodable", "the stream ended before any frame could be decoded")
        return _report(source, seen, tally, seen.first_s - opened_s)


@contextmanager
def _hanging_up(source: ContainerSource, silence_s: float, clock: Clock) -> Iterator[threading.Event]:
    """Within the block, let go of a camera that sends anything but video, which this thread would read for ever."""
    over, silent = threading.Event(), threading.Event()
    reader = threading.get_native_id()

    def look() -> None:
        while not over.wait(_LOOK_S):
            if clock.monotonic() - source.heard_s > silence_s:
                silent.set()
                hang_up(reader)

    if source.kind == "rtsp":
        threading.Thread(target=look, name="probe-watch", daemon=True).start()
    try:
        yield silent
    finally:
        over.set()


class _Seen:
    """What the decoder gave: how many frames, from when to when, and the newest of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.frames = 0
        self.first_s = self.last_s = 0.0
        self._first_pts_s: float | None = None
        self.newest: Decoded | None = None

    def add(self, decoded: Decoded) -> None:
        self.last_s = self._clock.monotonic()
        if not self.frames:
            self.first_s, self._first_pts_s = self.last_s, decoded.pts_s
        self.frames += 1
        self.newest = decoded

    def fps(self) -> float:
        span_s = self.last_s - self.first_s
        if self._first_pts_s is not None and self.newest is not None and self.newest.pts_s is not None:
            span_s = self.newest.pts_s - self._first_pts_s
        return (self.frames - 1) / span_s if span_s > 0 else 0.0


def _report(source: ContainerSource, seen: _Seen, tally: _Tally, first_frame_s: float) -> ProbeReport:
    newest = seen.newest
    assert newest is not None  # noqa: S101 - the caller has seen a frame
    picture, arrival, offset_s = newest.picture, newest.arrival, source.camera_offset_s
    return ProbeReport(
        codec=source.info.codec,
        width=picture.width,
        height=picture.height,
        pixel_format=picture.format.name,
        declared_fps=source.info.fps,
        measured_fps=round(seen.fps(), 2),
        clock="media" if arrival is None else arrival.clock,
        clock_offset_ms=None if offset_s is None else round(offset_s * 1e3, 1),
        first_frame_s=round(first_frame_s, 3),
        frames=seen.frames,
        packets=tally.packets,
        undecodable=tally.undecodable,
    )


def render(report: ProbeReport) -> str:
    """The report for a person, a line a fact."""
    return "\n".join(f"{name.replace('_', ' '):<16} {value}" for name, value in report.as_dict().items())
