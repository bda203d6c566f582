"""An RTSP camera as a source that the reactor reads."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av

from framelane.sources.decoding.decoder import BareVideo, StreamDecoder
from framelane.sources.decoding.unit_decoder import UnitDecoder
from framelane.sources.interfaces.source import SourceInfo
from framelane.sources.rtsp.camera_units import CameraUnits
from framelane.sources.rtsp.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.video.codeccontext import VideoCodecContext

    from framelane.config.sections.stream import StreamOptions
    from framelane.sources.decoding.source_parts import SourceParts
    from framelane.sources.interfaces.units import Unit
    from framelane.sources.rtsp.client import VideoMedia
    from framelane.sources.rtsp.reactor import Reactor


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
        clock = parts.clock
        self._meter = parts.meter
        self._units = CameraUnits(url, options, clock, reactor, parts.stopping)
        media = self._units.media
        self.resumes = spare is not None and spare.fits(media)
        """Whether the decoder was used before and can only continue at a key frame."""
        if spare is None or not self.resumes:
            with ExitStack() as guard:
                guard.callback(self._units.close)
                context = _context_of(media)
                decoder = StreamDecoder(BareVideo(context), parts.choice, options, parts.fell_back)
                spare = SpareDecoder(media, context, decoder)
                guard.pop_all()
        self._spare = spare
        keep = options.damaged == "keep"
        self.decoder = UnitDecoder(
            spare.decoder,
            float(self._units.time_base),
            clock,
            self._meter,
            endless=True,
            keep_damaged=keep,
        )
        """Decodes the stream's units."""
        self._chosen = options.video is not None
        self._put: Callable[[Unit], bool] | None = None

    def __enter__(self) -> RtspSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def heard_s(self) -> float:
        """See CameraUnits."""
        return self._units.heard_s

    @property
    def info(self) -> SourceInfo:
        """What the camera says about its video. The size is known from the first picture on."""
        media, context = self._units.media, self._spare.context
        fps = media.fps or self.decoder.fps
        return SourceInfo(media.codec, context.width, context.height, fps, self.decoder.name)

    @property
    def spare(self) -> SpareDecoder | None:
        """The decoder for the next connection; None unless it is an NVDEC decoder that worked."""
        return self._spare if self.decoder.reusable and self.decoder.name == "nvdec" else None

    @property
    def stamp_trouble(self) -> str:
        """See CameraUnits."""
        return self._units.stamp_trouble

    @property
    def camera_offset_s(self) -> float | None:
        """See CameraUnits."""
        return self._units.camera_offset_s

    @property
    def choice_note(self) -> str:
        """Which of several videos is read if the configuration chose none; else empty."""
        media = self._units.media
        if media.videos < 2 or self._chosen:  # noqa: PLR2004 - there is a choice
            return ""
        return f"video {media.number} of {media.videos} is read, counted from 0; set `video` for another"

    @property
    def unmarked(self) -> bool:
        """See CameraUnits."""
        return self._units.unmarked

    def start(self, put: Callable[[Unit], bool]) -> None:
        """See CameraUnits."""
        self._put = put
        self._units.start(self._take)

    def wait(self) -> None:
        """See CameraUnits."""
        self._units.wait()

    def check_end(self) -> None:
        """See CameraUnits."""
        self._units.check_end()

    def wake(self) -> None:
        """See CameraUnits."""
        self._units.wake()

    def close(self) -> None:
        """Stop reading and end the session. A repeated call does nothing."""
        self._units.close()
        self._put = None

    def _take(self, unit: Unit) -> bool:
        self._meter.frame_received()
        put = self._put
        return put is not None and put(unit)


def _context_of(media: VideoMedia) -> VideoCodecContext:
    """Open FFmpeg's decoder for the stream, with its parameter sets."""
    context: Any = av.CodecContext.create(media.codec, "r")
    if media.extradata:
        context.extradata = media.extradata
    found: VideoCodecContext = context
    return found
