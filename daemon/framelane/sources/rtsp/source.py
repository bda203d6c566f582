"""An RTSP camera over TCP as a source that the reactor reads."""

from __future__ import annotations

import secrets
import struct
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from framelane.core.errors import SourceError
from framelane.sources.arrivals import ArrivalClock
from framelane.sources.decoder import StreamDecoder
from framelane.sources.faults import NO_DATA, NO_VIDEO, NO_VIDEO_PATIENCE
from framelane.sources.rtsp.client import open_session
from framelane.sources.rtsp.interleaved import Interleaved
from framelane.sources.rtsp.rtcp import Reports
from framelane.sources.source import SourceInfo
from framelane.sources.unit_decoder import UnitDecoder
from framelane.sources.units import Unit, packet_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from av.video.codeccontext import VideoCodecContext

    from framelane.config.schema import StreamOptions
    from framelane.core.clock import Clock
    from framelane.sources.decoder import DecoderChoice
    from framelane.sources.rtsp.client import VideoMedia
    from framelane.sources.rtsp.reactor import Reactor
    from framelane.sources.rtsp.units import RtpUnit
    from framelane.sources.source import SourceMeter

_REPORT_EVERY_S = 5.0
_LOOK_S = 0.5
_MARKS_SEEN = 25  # pictures
_FRAME = struct.Struct(">cBH")


@dataclass(frozen=True, slots=True)
class _Coded:
    """Video that no container holds."""

    codec_context: VideoCodecContext


@dataclass(frozen=True, slots=True)
class SpareDecoder:
    """A decoder that has done well, for the camera's next connection: to open NVDEC takes the driver 70 ms a stream.

    Attributes:
        media: what it has been opened for.
        context: FFmpeg's on the CPU.
        decoder: what decodes.
    """

    media: VideoMedia
    context: VideoCodecContext
    decoder: StreamDecoder

    def fits(self, media: VideoMedia) -> bool:
        """Whether it decodes this, too."""
        return (self.media.codec, self.media.extradata) == (media.codec, media.extradata)


def reads_itself(url: str, options: StreamOptions) -> bool:
    """Whether a stream is read here at all: RTSP over TCP, and nothing asked of FFmpeg."""
    asked = options.reader == "ffmpeg" or bool(options.ffmpeg)
    return url.lower().startswith("rtsp://") and options.transport == "tcp" and not asked


class RtspSource:
    """One camera's session and decoder; a context manager. The reactor calls `feed`, `tick` and `ended`.

    Args:
        url: `rtsp://`, with the login in it if there is one.
        options: the stream's configuration.
        clock: where the time is read.
        meter: told of pictures.
        reactor: reads the connection.
        choice: what shall decode it.
        fell_back: told why, when it is decoded on the CPU although NVDEC was chosen.
        stopping: once set, opening ends.
        spare: the decoder of the connection before.

    Raises:
        UnsupportedError: FFmpeg has to read this one.
        SourceError: it can't be opened.
    """

    def __init__(
        self,
        url: str,
        options: StreamOptions,
        clock: Clock,
        meter: SourceMeter,
        reactor: Reactor,
        choice: DecoderChoice,
        fell_back: Callable[[str], None],
        stopping: threading.Event,
        spare: SpareDecoder | None = None,
    ) -> None:
        began_s = clock.monotonic()
        self._clock = clock
        self._meter = meter
        self._reactor = reactor
        self._read_timeout_s = options.read_timeout_s
        self._session = open_session(url, options.open_timeout_s, options.open_timeout_s, stopping, clock)
        media = self._session.media
        self.resumes = spare is not None and spare.fits(media)
        """Whether its decoder has decoded before, and can only go on at a key frame."""
        if spare is None or not self.resumes:
            with ExitStack() as guard:
                guard.callback(self._session.close)
                context = _context_of(media)
                decoder = StreamDecoder(_Coded(context), choice, options, fell_back)
                spare = SpareDecoder(media, context, decoder)
                guard.pop_all()
        self._spare = spare
        self._time_base = Fraction(1, media.clock_rate)
        self._time_base_s = 1 / media.clock_rate
        self.decoder = UnitDecoder(spare.decoder, self._time_base_s, clock, meter, endless=True)
        """Decodes its units."""
        self.heard_s = self._came_s = clock.monotonic()
        """When the last picture came whole (monotonic), decodable or not, or this was opened."""
        self._arrivals = ArrivalClock(clock, options.clock, began_s)
        self._reports = Reports(media.clock_rate, secrets.randbits(32))
        self._wire = Interleaved(
            media, self._session, self._reports, self._take, self._answered, early=options.low_latency
        )
        self._reported_s = self._kept_s = self._came_s
        self._drained = False
        self._early = options.low_latency
        self._taken = 0
        self._put: Callable[[Unit], bool] = _nowhere
        self._changed = threading.Event()
        self._fault: tuple[str, str] | None = None  # not the error: its traceback holds all of this

    def __enter__(self) -> RtspSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def socket(self) -> socket.socket:
        """What the reactor reads."""
        return self._session.socket

    @property
    def info(self) -> SourceInfo:
        """What the camera says of itself; its size is known from the first picture on."""
        media, context = self._session.media, self._spare.context
        fps = media.fps or self.decoder.fps
        return SourceInfo(media.codec, context.width, context.height, fps, self.decoder.name)

    @property
    def spare(self) -> SpareDecoder | None:
        """Its decoder, for the next connection; None unless it is one of NVDEC's that has done well."""
        return self._spare if self.decoder.reusable and self.decoder.name == "nvdec" else None

    @property
    def camera_offset_s(self) -> float | None:
        """By how much the camera's clock is ahead of ours, less the way here; None where it sends no reports."""
        return self._arrivals.camera_offset_s

    @property
    def unmarked(self) -> bool:
        """Whether pictures end only when the next begins, since the camera's marks don't tell."""
        return self._early and self._taken > _MARKS_SEEN and not self._wire.proven

    def start(self, put: Callable[[Unit], bool]) -> None:
        """Have the reactor hand on units from now on, on its thread.

        Args:
            put: takes a unit; says whether whoever waits is to look after it.

        Raises:
            SourceError: what has come so far is no RTSP.
        """
        self._put = put
        if self._session.leftover:
            self._wire.feed(self._session.leftover, self._clock.monotonic())
        self._reactor.add(self)

    def wait(self) -> None:
        """Return when there is a unit to look after, the connection has ended, or a moment has passed."""
        self._changed.wait(_LOOK_S)
        self._changed.clear()

    def check_end(self) -> None:
        """Say why nothing more comes, if that is so.

        Raises:
            SourceError: that is why.
        """
        if self._fault is not None:
            raise SourceError(*self._fault)

    def wake(self) -> None:
        """End a wait; from any thread."""
        self._changed.set()

    def close(self) -> None:
        """Read no more and end the session; may be called twice."""
        self._reactor.remove(self)
        self._session.close()
        # What it holds holds it: without this a decoder would wait for the garbage collector.
        self._wire.detach()
        self._put = _nowhere

    def feed(self, data: bytes, *, drained: bool) -> None:
        """Take what the reactor has read."""
        self._came_s = self._clock.monotonic()
        self._drained = drained
        self._wire.feed(data, self._came_s)

    def tick(self) -> None:
        """Look after the connection: silence, reports, keeping it alive."""
        now_s = self._clock.monotonic()
        if now_s - self._came_s > self._read_timeout_s:
            self.ended(SourceError("timeout", NO_DATA))
        elif now_s - self.heard_s > NO_VIDEO_PATIENCE * self._read_timeout_s:
            self.ended(SourceError("timeout", NO_VIDEO))
        if now_s - self._reported_s >= _REPORT_EVERY_S:
            self._reported_s = now_s
            wire = self._wire
            report = self._reports.answer(wire.highest, wire.expected, wire.received, now_s)
            self._send(_FRAME.pack(b"$", self._session.rtcp_channel, len(report)) + report)
        if now_s - self._kept_s >= self._session.keep_alive_s:
            self._keep_alive(now_s)

    def ended(self, fault: SourceError) -> None:
        """Nothing more comes, and this is why."""
        try:
            if self._fault is None:
                self._wire.end()
        finally:
            self._fault = self._fault or (fault.reason, str(fault))
            self._changed.set()

    def _take(self, unit: RtpUnit) -> None:
        self._taken += 1
        if unit.whole:
            self.heard_s = self._clock.monotonic()
        self._meter.frame_received()
        packet = packet_of(unit.data, unit.pts, self._time_base)
        camera_s = self._reports.captured_at(unit.stamp)
        arrival = self._arrivals.note(
            unit.pts * self._time_base_s, unit.read_s, camera_s, drained=self._drained
        )
        if self._put(Unit(packet, unit.key, unit.disposable, arrival, whole=unit.whole)):
            self._changed.set()

    def _answered(self, answer: bytes) -> None:
        if self._session.take_answer(answer):
            self._keep_alive(self._clock.monotonic())

    def _keep_alive(self, now_s: float) -> None:
        self._kept_s = now_s
        self._send(self._session.keep_alive())

    def _send(self, data: bytes) -> None:
        """Send a few bytes; where the camera takes none of them, its silence will tell."""
        with suppress(OSError):
            self.socket.send(data)


def _nowhere(_unit: Unit) -> bool:
    """Before the start."""
    return False


def _context_of(media: VideoMedia) -> VideoCodecContext:
    """FFmpeg's decoder for the stream, told of its parameter sets."""
    context: Any = av.CodecContext.create(media.codec, "r")
    if media.extradata:
        context.extradata = media.extradata
    found: VideoCodecContext = context
    return found
