"""An RTSP camera as a source that the reactor reads."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import av

from framelane.core.errors import SourceError
from framelane.sources.decoding.decoder import BareVideo, StreamDecoder
from framelane.sources.decoding.unit_decoder import UnitDecoder
from framelane.sources.interfaces.source import SourceInfo
from framelane.sources.interfaces.units import Unit, packet_of
from framelane.sources.network.certificates import tls_context
from framelane.sources.rtsp.client import Approach, UnsupportedError, open_session
from framelane.sources.rtsp.playing import Playing
from framelane.sources.timing.arrival_clock import ArrivalClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.video.codeccontext import VideoCodecContext

    from framelane.config.sections.stream import StreamOptions
    from framelane.core.stream_reasons import StreamReason
    from framelane.sources.decoding.source_parts import SourceParts
    from framelane.sources.rtsp.client import VideoMedia
    from framelane.sources.rtsp.reactor import Reactor
    from framelane.sources.rtsp.rtp_unit import RtpUnit

_LOOK_S = 0.5
# Pictures after which unreliable marker bits are reported.
_MARKS_SEEN = 25


@dataclass(frozen=True, slots=True)
class SpareDecoder:
    """A proven decoder for the camera's next connection. Opening NVDEC takes the driver 70 ms per stream.

    Attributes:
        media: the video for which the decoder was opened.
        context: FFmpeg's decoder on the CPU.
        decoder: the decoder in use.
    """

    media: VideoMedia
    context: VideoCodecContext
    decoder: StreamDecoder

    def fits(self, media: VideoMedia) -> bool:
        """Return whether the decoder fits this video too."""
        return (self.media.codec, self.media.extradata) == (media.codec, media.extradata)


def reads_itself(url: str, options: StreamOptions) -> bool:
    """Return whether Framelane's own reader reads a stream: RTSP without `ffmpeg` options."""
    if options.reader == "ffmpeg" or (options.ffmpeg and options.reader != "native"):
        return False
    return url.lower().startswith(("rtsp://", "rtsps://"))


class RtspSource:
    """One camera's session and decoder; a context manager.

    Args:
        url: `rtsp://` or `rtsps://`, with the login if there is one.
        options: the stream's configuration.
        parts: the parts of the stream.
        reactor: reads what the camera sends.
        spare: the decoder of the previous connection.

    Raises:
        UnsupportedError: only FFmpeg can read this stream.
        SourceError: the camera can't be opened.
    """

    def __init__(
        self,
        url: str,
        options: StreamOptions,
        parts: SourceParts,
        reactor: Reactor,
        spare: SpareDecoder | None = None,
    ) -> None:
        if options.ffmpeg:
            raise UnsupportedError("the stream's `ffmpeg` section is for FFmpeg alone")
        clock, meter = parts.clock, parts.meter
        began_s = clock.monotonic()
        self._clock = clock
        self._meter = meter
        self._reactor = reactor
        approach = Approach(options.transport, partial(tls_context, options), options.video)
        wait_s = options.open_timeout_s
        self._session = open_session(url, wait_s, wait_s, parts.stopping, clock, approach)
        media = self._session.media
        self.resumes = spare is not None and spare.fits(media)
        """Whether the decoder was used before and can only continue at a key frame."""
        if spare is None or not self.resumes:
            with ExitStack() as guard:
                guard.callback(self._session.close)
                context = _context_of(media)
                decoder = StreamDecoder(BareVideo(context), parts.choice, options, parts.fell_back)
                spare = SpareDecoder(media, context, decoder)
                guard.pop_all()
        self._spare = spare
        self._time_base = Fraction(1, media.clock_rate)
        self._time_base_s = 1 / media.clock_rate
        keep = options.damaged == "keep"
        self.decoder = UnitDecoder(
            spare.decoder, self._time_base_s, clock, meter, endless=True, keep_damaged=keep
        )
        """Decodes the stream's units."""
        self._arrivals = ArrivalClock(clock, options.clock, began_s)
        self._playing = Playing(
            self._session,
            clock,
            options.read_timeout_s,
            self._take,
            self._on_end,
            early=options.low_latency,
        )
        self._early = options.low_latency
        self._chosen = options.video is not None
        self._taken = 0
        self._put: Callable[[Unit], bool] = _discard
        self._changed = threading.Event()
        # Not the error itself: its traceback would hold a reference to all of this.
        self._fault: tuple[StreamReason, str] | None = None

    def __enter__(self) -> RtspSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def heard_s(self) -> float:
        """When the last picture came (monotonic), decodable or not.

        Before the first: when the source was opened.
        """
        return self._playing.heard_s

    @property
    def info(self) -> SourceInfo:
        """What the camera says about its video. The size is known from the first picture on."""
        media, context = self._session.media, self._spare.context
        fps = media.fps or self.decoder.fps
        return SourceInfo(media.codec, context.width, context.height, fps, self.decoder.name)

    @property
    def spare(self) -> SpareDecoder | None:
        """The decoder for the next connection; None unless it is an NVDEC decoder that worked."""
        return self._spare if self.decoder.reusable and self.decoder.name == "nvdec" else None

    @property
    def stamp_trouble(self) -> str:
        """What is wrong with the camera's time stamps, in words; empty while they agree with our clock."""
        return self._arrivals.stamp_trouble

    @property
    def camera_offset_s(self) -> float | None:
        """How far the camera's clock is ahead of ours in seconds, less the transit time.

        None without its reports.
        """
        return self._arrivals.camera_offset_s

    @property
    def choice_note(self) -> str:
        """Which of several videos is read if the configuration chose none; else empty."""
        media = self._session.media
        if media.videos < 2 or self._chosen:  # noqa: PLR2004 - there is a choice
            return ""
        return f"video {media.number} of {media.videos} is read, counted from 0; set `video` for another"

    @property
    def unmarked(self) -> bool:
        """Whether pictures end only when the next begins, because the camera's marker bits are unreliable."""
        return self._early and self._taken > _MARKS_SEEN and self._playing.refuted

    def start(self, put: Callable[[Unit], bool]) -> None:
        """Deliver units from now on, on the reactor's thread.

        Args:
            put: takes a unit; returns whether to wake the thread in wait().

        Raises:
            SourceError: the data received so far is not RTSP.
        """
        self._put = put
        self._playing.begin()
        self._reactor.add(self._playing)

    def wait(self) -> None:
        """Wait until there is a unit to handle, the connection has ended, or 0.5 s have passed."""
        self._changed.wait(_LOOK_S)
        self._changed.clear()

    def check_end(self) -> None:
        """Raise the reason if the stream has ended.

        Raises:
            SourceError: the stream has ended.
        """
        if self._fault is not None:
            raise SourceError(*self._fault)

    def wake(self) -> None:
        """End a wait; may be called from any thread."""
        self._changed.set()

    def close(self) -> None:
        """Stop reading and end the session. A repeated call does nothing."""
        self._reactor.remove(self._playing)
        self._session.close()
        # This breaks a reference cycle. Without it, the decoder would live until the next garbage collection.
        self._playing.detach()
        self._put = _discard

    def _take(self, unit: RtpUnit) -> None:
        self._taken += 1
        self._meter.frame_received()
        packet = packet_of(unit.data, unit.pts, self._time_base)
        camera_s = self._playing.reports.captured_at(unit.stamp)
        arrival = self._arrivals.note(
            unit.pts * self._time_base_s, unit.read_s, camera_s, drained=self._playing.drained
        )
        whole, recovery, extradata = unit.whole, unit.recovery, unit.extradata
        if self._put(Unit(packet, unit.key, unit.disposable, arrival, whole, recovery, extradata=extradata)):
            self._changed.set()

    def _on_end(self, fault: SourceError) -> None:
        self._fault = fault.reason, str(fault)
        self._changed.set()


def _discard(_unit: Unit) -> bool:
    """Discard a unit before start()."""
    return False


def _context_of(media: VideoMedia) -> VideoCodecContext:
    """Open FFmpeg's decoder for the stream, with its parameter sets."""
    context: Any = av.CodecContext.create(media.codec, "r")
    if media.extradata:
        context.extradata = media.extradata
    found: VideoCodecContext = context
    return found
