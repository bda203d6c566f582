"""Turns decoded pictures into frames: sets their times, limits their rate and passes them to inference."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from framelane.core.frames import Frame, FrameInfo
from framelane.sources.pacing import FrameRateLimit
from framelane.sources.timing.steady_time import SteadyTime
from framelane.sources.timing.timeline import Timeline
from framelane.telemetry.states import StreamDetails

if TYPE_CHECKING:
    from framelane.config.sections.stream import StreamConfig
    from framelane.core.clock import Clock
    from framelane.core.drop_reasons import DropReason
    from framelane.core.frames import ClockName, Picture
    from framelane.sources.interfaces.source import Decoded, SourceInfo
    from framelane.sources.pacing import RealtimePacer
    from framelane.telemetry.meters import StreamMeter
    from framelane.telemetry.stream_status import StreamStatus


_LEAST_STEP_S = 1e-6
"""Least difference of two capture times in seconds: messages have microseconds."""


class FrameConsumer(Protocol):
    """Takes a connection's frames to the batchers of the stream's models."""

    def join(self) -> None:
        """Note that the connection is live."""
        ...

    def leave(self) -> None:
        """Note that the connection is over."""
        ...

    def offer(self, frame: Frame, *, wait: bool = False) -> None:
        """Take the stream's newest frame."""
        ...


class Described(Protocol):
    """A source with properties."""

    @property
    def info(self) -> SourceInfo:
        """The properties known so far."""
        ...


class FrameMaker:
    """Takes the decoded pictures of one stream, one at a time, from any thread.

    Args:
        config: the stream.
        consumer: takes frames.
        meter: counts decoded and dropped frames.
        status: the stream's state machine.
        clock: the clock.
        wait: whether to wait until the consumer has room, instead of dropping older frames.
    """

    def __init__(
        self,
        config: StreamConfig,
        consumer: FrameConsumer,
        meter: StreamMeter,
        status: StreamStatus,
        clock: Clock,
        *,
        wait: bool,
    ) -> None:
        self._stream = config.id
        self._fps = config.fps
        self._consumer = consumer
        self._meter = meter
        self._status = status
        self._clock = clock
        self._wait = wait
        self._details = StreamDetails()
        self._lock = threading.Lock()
        self._missing = 0
        self._source: Described | None = None
        self._index = 0
        self._last_pts_s = self._last_due_s = 0.0
        self._begin(None)

    def opened(self, source: Described) -> None:
        """Begin a connection, with the source's properties and a new time line."""
        self._source, info = source, source.info
        size = info.width or None, info.height or None
        self._details = StreamDetails(info.codec, *size, info.fps, info.decoder)
        self._begin(info.fps)
        if info.limited:
            self._limit = FrameRateLimit(None)
        self._status.opened(self._details)
        self._consumer.join()

    def closed(self) -> None:
        """End the connection."""
        self._consumer.leave()

    def limit(self, fps: float | None) -> None:
        """Set another `fps` limit from the next picture on; from any thread."""
        if fps != self._fps:
            self._fps = fps
            self._limit = FrameRateLimit(fps)

    def restarted(self) -> None:
        """Note that the source starts again from its beginning."""
        self._timeline.restart()

    def decoder_changed(self, name: str) -> None:
        """Note that another decoder continues the stream."""
        if self._details.decoder is not None:
            self._details = replace(self._details, decoder=name)
            self._status.described(self._details)

    def skipped(self, why: DropReason, count: int) -> None:
        """Count pictures that were not decoded; from any thread."""
        self._meter.frame_dropped(why, count)
        with self._lock:
            self._missing += count

    def take(self, decoded: Decoded, pacer: RealtimePacer | None = None) -> None:
        """Make a frame of a decoded picture and offer it, unless it exceeds the stream's `fps`.

        Args:
            decoded: the decoded picture.
            pacer: waits until the frame is due; None for live streams.
        """
        arrived_s = self._arrived(decoded)
        pts_s = self._timeline.place(decoded.pts_s, arrived_s)
        self._meter.frame_decoded()
        if pacer is not None:
            pacer.wait(pts_s)
        # Live streams are limited by arrival, because the sender's time stamps may be wrong.
        due_s = pts_s if arrived_s is None else self._steady.place(arrived_s)
        captured_at, clock = self._captured(decoded, min(pts_s - self._last_pts_s, due_s - self._last_due_s))
        self._last_pts_s, self._last_due_s = pts_s, due_s
        self._describe(decoded.picture, clock)
        self._status.frame_seen(self._clock.monotonic())
        if self._limit.due(due_s):
            self._index += self._missed(due_s)
            frame = self._frame(decoded, pts_s, captured_at, clock)
            self._consumer.offer(frame, wait=self._wait)
        else:
            self._meter.frame_dropped("fps")

    def _begin(self, fps: float | None) -> None:
        self._timeline = Timeline(1 / fps if fps else None)
        self._limit = FrameRateLimit(self._fps)
        self._steady = SteadyTime()
        self._arrived_s = float("-inf")
        self._last_pts_s = self._last_due_s = 0.0
        self._captured_at: float | None = None
        self._offered_s: float | None = None

    def _arrived(self, decoded: Decoded) -> float | None:
        """Return when this picture and all it depends on had arrived; None for recorded sources.

        Pictures are sent before those that depend on them, and may be shown after them.
        """
        if decoded.arrival is None:
            return None
        self._arrived_s = max(self._arrived_s, decoded.arrival.at_s)
        return self._arrived_s

    def _captured(self, decoded: Decoded, step_s: float) -> tuple[float, ClockName]:
        """Return the capture time of a picture `step_s` after the previous one; for recorded sources, now.

        Capture times only increase within a connection. The first sender report, and pictures sent out of
        display order, would turn time back. Instead, time runs at half speed until the camera's clock has
        caught up.
        """
        arrival = decoded.arrival
        if arrival is None:
            return self._clock.wall(), "media"
        captured_at = arrival.captured_at
        if self._captured_at is not None:
            captured_at = max(captured_at, self._captured_at + max(step_s / 2, _LEAST_STEP_S))
        self._captured_at = captured_at
        return captured_at, arrival.clock

    def _missed(self, at_s: float) -> int:
        """Return how many due frames between the last one and this were skipped before they were decoded."""
        with self._lock:
            missing, self._missing = self._missing, 0
        last_s, self._offered_s = self._offered_s, at_s
        # Read once, because it may change.
        fps = self._fps
        if not missing or not fps or last_s is None:
            return missing
        return min(missing, max(round((at_s - last_s) * fps) - 1, 0))

    def _describe(self, picture: Picture, clock: ClockName) -> None:
        """Show a new size or clock: cameras change their resolution without notice."""
        details = self._details
        if (details.width, details.height, details.clock) != (picture.width, picture.height, clock):
            size = picture.width, picture.height
            fps = None if self._source is None else self._source.info.fps
            self._details = replace(details, width=size[0], height=size[1], clock=clock, fps=fps)
            self._status.described(self._details)

    def _frame(self, decoded: Decoded, pts_s: float, captured_at: float, clock: ClockName) -> Frame:
        picture = decoded.picture
        info = FrameInfo(
            self._stream,
            self._index,
            pts_s,
            captured_at,
            clock,
            self._clock.monotonic(),
            picture.width,
            picture.height,
            decoded.pts_s,
        )
        self._index += 1
        return Frame(info, picture)
