"""One stream's thread: opens its source, decodes, paces, offers frames to inference, and tries again for ever."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.core.backoff import Backoff
from framelane.core.errors import SourceError
from framelane.core.frames import Frame, FrameInfo
from framelane.core.worker import Worker
from framelane.sources.certificates import is_unverified
from framelane.sources.container import ContainerSource
from framelane.sources.decoder import ON_CPU
from framelane.sources.faults import NO_DATA, NO_VIDEO
from framelane.sources.folder import FolderSource
from framelane.sources.hangup import hang_up
from framelane.sources.pacing import FrameRateLimit, RealtimePacer
from framelane.sources.retry import Retry
from framelane.sources.source import LIVE_KINDS, Decoded, Source, SourceMeter, kind_of
from framelane.sources.timeline import Timeline, capture_time
from framelane.telemetry.status import ENDED, StreamDetails

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.config.schema import StreamConfig
    from framelane.core.clock import Clock
    from framelane.core.frames import ClockName, Picture
    from framelane.sources.decoder import DecoderChoice
    from framelane.telemetry.status import StreamStatus

log = structlog.get_logger(__name__)

_PROVEN_S = 5.0
_PATIENCE = 2.0
"""In read timeouts, of a camera that sends, but no video. FFmpeg gives up one that is silent after the first."""
_NO_PICTURE_S = 1.0
"""That packets come without a picture, until the state says so."""
_LEAVING_S = 1.0
"""Without video, after which a stop does not wait for more."""
_LOOK_S = 0.1
_UNVERIFIED = (
    "anybody on the way can pass for the camera; set tls.verify: true, and tls.ca_file to its authority"
)


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


class CameraMeter(SourceMeter, Protocol):
    """Told of every step of a frame on the camera's thread."""

    def frame_decoded(self) -> None:
        """The decoder gave a frame."""
        ...

    def decoder_fell_back(self) -> None:
        """NVDEC refused the stream, which the CPU decodes now."""
        ...


class CameraWorker(Worker):
    """Reads one stream until stopped; a fault costs this stream alone, and a wait before the next try.

    Args:
        config: the stream.
        consumers: where frames go.
        meter: counts its steps.
        status: its state machine.
        clock: where the time is read.
        choice: which decoder.
        before: who read the stream before it was changed, and may still be at it; many a camera allows one session.
    """

    def __init__(
        self,
        config: StreamConfig,
        consumers: Sequence[FrameConsumer],
        meter: CameraMeter,
        status: StreamStatus,
        clock: Clock,
        choice: DecoderChoice = ON_CPU,
        before: Sequence[Worker] = (),
    ) -> None:
        super().__init__(f"camera-{config.id}")
        self.stream = config.id
        self._before = before
        self._choice = choice
        self._refusal = ""  # the last one that the log has
        self._warned = False
        self._config = config
        self._consumers = consumers
        self._meter = meter
        self._status = status
        self._clock = clock
        self._url = config.url.get_secret_value()
        self._live = kind_of(self._url) in LIVE_KINDS
        self._wait = not self._live and not config.realtime
        self._backoff = Backoff(config.backoff.first_s, config.backoff.most_s)
        remote = kind_of(self._url) in ("rtsp", "http")
        self._retry = Retry(self._url, self._backoff, clock, live=remote)
        self._details = StreamDetails()
        self._index = 0
        self._thread_id = 0
        self._source: Source | None = None  # while it is read
        self._rtsp: ContainerSource | None = None  # likewise, where it is one
        self._opened_s = 0.0
        self._hung_up = ""  # why
        status.on_tick = self._look

    def run_once(self) -> None:
        """Open the source and read it to its end."""
        if not self._is_free():
            return
        self._status.connecting()
        self._status.forget_notes()
        with self._open() as source:
            self._opened(source)
            self._thread_id, self._hung_up = threading.get_native_id(), ""
            self._rtsp = source if isinstance(source, ContainerSource) and source.kind == "rtsp" else None
            try:
                self._read(source)
            finally:
                self._source = self._rtsp = None
                self._each_consumer(lambda consumer: consumer.leave(self._config.id))
        if not self.stopping.is_set():
            self._status.down(ENDED, "played to its end")
            self.stopping.set()

    def failed(self, error: Exception) -> float:
        """Show the fault as the stream's state; return how long to wait before the next try."""
        if self.stopping.is_set():  # we may have hung up ourselves
            return 0.0
        reason, text = (
            (error.reason, str(error)) if isinstance(error, SourceError) else ("failed", str(error))
        )
        if self._hung_up:
            reason, text, self._hung_up = "timeout", self._hung_up, ""
        wait_s = self._retry.after(reason)
        self._status.down(reason, text + self._retry.remark(wait_s))
        unforeseen = None if isinstance(error, SourceError) else error
        log.warning(
            "stream_down",
            stream=self._config.id,
            reason=reason,
            text=text,
            retry_s=round(wait_s, 1),
            exc_info=unforeseen,
        )
        return wait_s

    def rest(self, wait_s: float) -> None:
        """Wait for the next try, less long where the camera is there again or `hurry` is called."""
        self._retry.wait(wait_s, self.stopping)

    def hurry(self) -> None:
        """Log in again now, if that is what is waited for."""
        self._retry.hurry()

    def wake(self) -> None:
        """Let go of a camera that sends no video, which would keep this thread in its read."""
        self._hang_up_after(_LEAVING_S, NO_VIDEO)

    def _look(self) -> None:
        """Called twice a second, on another thread."""
        silence_s = self._config.read_timeout_s
        self._hang_up_after(silence_s, NO_DATA, silent_s=silence_s)
        self._hang_up_after(_PATIENCE * silence_s, NO_VIDEO)
        self._tell_of_key_frame()

    def _hang_up_after(self, waited_s: float, why: str, silent_s: float = 0.0) -> None:
        source = self._rtsp
        if source is not None and self._clock.monotonic() - source.heard_s > waited_s:
            self._hung_up = why  # before, for the reader may be quick, and clear it
            if not hang_up(self._thread_id, silent_s):
                self._hung_up = ""

    def _tell_of_key_frame(self) -> None:
        source = self._source
        if not isinstance(source, ContainerSource) or self._status.current.state != "connecting":
            return
        if source.heard_s - self._opened_s >= _NO_PICTURE_S:
            self._status.awaiting_key_frame()

    def _is_free(self) -> bool:
        """Whether nobody else reads the stream any more; waits a moment if somebody does."""
        self._before = [each for each in self._before if each.alive]
        for each in self._before:
            each.wake()
        if self._before:
            self.stopping.wait(_LOOK_S)
        return not self._before

    def _open(self) -> ContainerSource | FolderSource:
        if kind_of(self._url) == "folder":
            return FolderSource(self._url, self._clock, self._meter)
        if is_unverified(self._url, self._config) and not self._warned:
            self._warned = True
            log.warning("tls_unverified", stream=self._config.id, text=_UNVERIFIED)
        return ContainerSource(
            self._url, self._config, self._clock, self._meter, self._choice, self._fell_back
        )

    def _fell_back(self, why: str) -> None:
        """Show that the CPU decodes what NVDEC should. The next connection tries NVDEC again, which costs nothing."""
        self._meter.decoder_fell_back()
        self._status.noted("decoder", f"decoded on the CPU: {why}")
        if self._details.decoder is not None:
            self._details = replace(self._details, decoder="cpu")
            self._status.described(self._details)
        if why != self._refusal:
            self._refusal = why
            log.warning("decoder_fallback", stream=self._config.id, reason=why)

    def _opened(self, source: Source) -> None:
        self._retry.accepted()
        info, self._opened_s, self._source = source.info, self._clock.monotonic(), source
        if isinstance(source, ContainerSource) and source.parser_reason:
            late = f"read through FFmpeg's parser, one frame late: {source.parser_reason}"
            self._status.noted("parser", late)
        size = info.width or None, info.height or None
        self._details = StreamDetails(info.codec, *size, info.fps, info.decoder)
        self._status.opened(self._details)
        self._each_consumer(lambda consumer: consumer.join(self._config.id))

    def _read(self, source: Source) -> None:
        timeline = Timeline(1 / source.info.fps if source.info.fps else None)
        limit = FrameRateLimit(self._config.fps)
        pacer = None if source.paced or self._wait else RealtimePacer(self._clock, self.stopping)
        started_s = self._clock.monotonic()
        while not self.stopping.is_set():
            seen = False
            for decoded in source.pictures():
                if self.stopping.is_set():
                    return
                if self._hung_up:  # what the decoder still held is no sign of life
                    raise SourceError("timeout", self._hung_up)
                seen = True
                self._take(decoded, timeline, limit, pacer)
                del decoded  # a picture may not stay here while the next one is awaited
                if self._clock.monotonic() - started_s > _PROVEN_S:
                    self._backoff.reset()
            if not seen:
                # Not the end of a film, and in a loop it would be tried again without a pause.
                raise SourceError("undecodable", "there is no picture in it that can be decoded")
            if not self._config.loop:
                return
            timeline.restart()
            source.rewind()

    def _take(
        self, decoded: Decoded, timeline: Timeline, limit: FrameRateLimit, pacer: RealtimePacer | None
    ) -> None:
        pts_s = timeline.place(decoded.pts_s)
        self._meter.frame_decoded()
        if pacer is not None:
            pacer.wait(pts_s)
        captured_at, clock = self._captured(decoded)
        self._describe(decoded.picture, clock)
        self._status.frame_seen(self._clock.monotonic())
        if limit.due(pts_s):
            self._offer(self._frame(decoded.picture, pts_s, captured_at, clock))
        else:
            self._meter.frame_dropped("fps")

    def _captured(self, decoded: Decoded) -> tuple[float, ClockName]:
        if self._live:
            return capture_time(decoded.camera_s, decoded.arrived_s, self._config.clock)
        return self._clock.wall(), "media"

    def _describe(self, picture: Picture, clock: ClockName) -> None:
        """Show a size or clock that is new: cameras change their resolution without a word."""
        details = self._details
        if (details.width, details.height, details.clock) != (picture.width, picture.height, clock):
            self._details = replace(
                details, width=picture.width, height=picture.height, clock=clock, fps=self._fps()
            )
            self._status.described(self._details)

    def _fps(self) -> float | None:
        return None if self._source is None else self._source.info.fps

    def _frame(self, picture: Picture, pts_s: float, captured_at: float, clock: ClockName) -> Frame:
        info = FrameInfo(
            self._config.id,
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

    def _each_consumer(self, tell: Callable[[FrameConsumer], None]) -> None:
        for consumer in self._consumers:
            tell(consumer)
