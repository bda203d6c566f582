"""Makes frames of a stream's decoded pictures: places them in time, limits their rate, hands them to inference."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from framelane.core.frames import Frame, FrameInfo
from framelane.sources.pacing import FrameRateLimit
from framelane.sources.source import SourceMeter
from framelane.sources.timeline import Timeline
from framelane.telemetry.states import StreamDetails

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.schema import StreamConfig
    from framelane.core.clock import Clock
    from framelane.core.frames import ClockName, Picture
    from framelane.sources.pacing import RealtimePacer
    from framelane.sources.source import Decoded, SourceInfo
    from framelane.telemetry.status import StreamStatus


class FrameConsumer(Protocol):
    """Where frames go: a model's batcher."""

    def join(self, stream: str) -> None:
        """The stream is live."""
        ...

    def leave(self, stream: str) -> None:
        """The stream is gone, for now."""
        ...

    def offer(self, frame: Frame, *, wait: bool = False) -> None:
        """Take the stream's newest frame."""
        ...


class Described(Protocol):
    """A source that says of itself what it knows so far."""

    @property
    def info(self) -> SourceInfo:
        """What is known."""
        ...


class FrameMeter(SourceMeter, Protocol):
    """Told of every picture that has been decoded."""

    def frame_decoded(self) -> None:
        """The decoder gave a frame."""
        ...


class FrameMaker:
    """Takes the pictures of one stream, one at a time, whichever thread decodes them.

    Args:
        config: the stream.
        consumers: where frames go.
        meter: counts what is decoded and what is dropped.
        status: the stream's state machine.
        clock: where the time is read.
        wait: whether consumers are to make room for each frame instead of dropping older ones.
    """

    def __init__(
        self,
        config: StreamConfig,
        consumers: Sequence[FrameConsumer],
        meter: FrameMeter,
        status: StreamStatus,
        clock: Clock,
        *,
        wait: bool,
    ) -> None:
        self._stream = config.id
        self._fps = config.fps
        self._consumers = consumers
        self._meter = meter
        self._status = status
        self._clock = clock
        self._wait = wait
        self._details = StreamDetails()
        self._lock = threading.Lock()
        self._missing = 0
        self._source: Described | None = None
        self._index = 0
        self._begin(None)

    def opened(self, source: Described) -> None:
        """A connection begins: what this source says of itself, and times of its own."""
        self._source, info = source, source.info
        size = info.width or None, info.height or None
        self._details = StreamDetails(info.codec, *size, info.fps, info.decoder)
        self._begin(info.fps)
        self._status.opened(self._details)
        for consumer in self._consumers:
            consumer.join(self._stream)

    def closed(self) -> None:
        """The connection is over."""
        for consumer in self._consumers:
            consumer.leave(self._stream)

    def restarted(self) -> None:
        """The source starts again from its beginning."""
        self._timeline.restart()

    def decoder_changed(self, name: str) -> None:
        """Another decoder goes on with the stream."""
        if self._details.decoder is not None:
            self._details = replace(self._details, decoder=name)
            self._status.described(self._details)

    def skipped(self, why: str, count: int) -> None:
        """Pictures were not decoded, for one of the meter's reasons; on any thread."""
        self._meter.frame_dropped(why, count)
        with self._lock:
            self._missing += count

    def take(self, decoded: Decoded, pacer: RealtimePacer | None = None) -> None:
        """Make a frame of a picture and offer it, unless it exceeds the stream's `fps`; `pacer` holds it back."""
        pts_s = self._timeline.place(decoded.pts_s)
        self._meter.frame_decoded()
        if pacer is not None:
            pacer.wait(pts_s)
        captured_at, clock = self._captured(decoded, pts_s)
        self._describe(decoded.picture, clock)
        self._status.frame_seen(self._clock.monotonic())
        if self._limit.due(pts_s):
            self._index += self._missed(pts_s)
            self._offer(self._frame(decoded.picture, pts_s, captured_at, clock))
        else:
            self._meter.frame_dropped("fps")

    def _begin(self, fps: float | None) -> None:
        self._timeline = Timeline(1 / fps if fps else None)
        self._limit = FrameRateLimit(self._fps)
        self._last: tuple[float, float] | None = None
        self._offered_s: float | None = None

    def _captured(self, decoded: Decoded, pts_s: float) -> tuple[float, ClockName]:
        """When a picture was taken; of what is played, now. Within a connection it only goes forward.

        The first sender report, and pictures that were sent before those that come before them, would turn time back.
        It goes on at half its speed until it has been caught up with.
        """
        arrival = decoded.arrival
        if arrival is None:
            return self._clock.wall(), "media"
        captured_at = arrival.captured_at
        if self._last is not None:
            last_at, last_pts_s = self._last
            captured_at = max(captured_at, last_at + (pts_s - last_pts_s) / 2)
        self._last = captured_at, pts_s
        return captured_at, arrival.clock

    def _missed(self, pts_s: float) -> int:
        """How many frames were due between the last one and this, and skipped before they were decoded."""
        with self._lock:
            missing, self._missing = self._missing, 0
        last_s, self._offered_s = self._offered_s, pts_s
        if not missing or not self._fps or last_s is None:
            return missing
        return min(missing, max(round((pts_s - last_s) * self._fps) - 1, 0))

    def _describe(self, picture: Picture, clock: ClockName) -> None:
        """Show a size or clock that is new: cameras change their resolution without a word."""
        details = self._details
        if (details.width, details.height, details.clock) != (picture.width, picture.height, clock):
            size = picture.width, picture.height
            fps = None if self._source is None else self._source.info.fps
            self._details = replace(details, width=size[0], height=size[1], clock=clock, fps=fps)
            self._status.described(self._details)

    def _frame(self, picture: Picture, pts_s: float, captured_at: float, clock: ClockName) -> Frame:
        info = FrameInfo(
            self._stream,
            self._index,
            pts_s,
            captured_at,
            clock,
            self._clock.monotonic(),
            picture.width,
            picture.height,
        )
        self._index += 1
        return Frame(info, picture)

    def _offer(self, frame: Frame) -> None:
        for consumer in self._consumers:
            consumer.offer(frame, wait=self._wait)
