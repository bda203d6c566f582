"""A source that FFmpeg opens: RTSP, HTTP, HLS, files and V4L2 devices."""

from __future__ import annotations

import struct
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av import error as av_error

from framelane.core.errors import SourceError
from framelane.sources.codecs.frame_numbers import FrameNumbers
from framelane.sources.decoding.decoder import StreamDecoder
from framelane.sources.decoding.live_source import live_pictures
from framelane.sources.decoding.unit_decoder import UnitDecoder
from framelane.sources.ffmpeg.connection import FfmpegConnection
from framelane.sources.ffmpeg.diagnosis import explained
from framelane.sources.ffmpeg.opening import open_container
from framelane.sources.ffmpeg.video_choice import choose_video, discard_others
from framelane.sources.interfaces.source import LIVE_KINDS, Decoded, Kind, SourceInfo, kind_of
from framelane.sources.interfaces.units import Unit, packet_of
from framelane.sources.network.certificates import certificate_error
from framelane.sources.network.ffmpeg_errors import source_error
from framelane.sources.timing.arrival_clock import ArrivalClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer

    from framelane.config.sections.stream import StreamOptions
    from framelane.sources.decoding.source_parts import SourceParts
    from framelane.sources.ffmpeg.access_units import AccessUnit

_UNTIMED = ("mpjpeg", "mjpeg", "h264", "hevc")
_IN_PIECES = ("hls", "dash")
"""Protocols over HTTP that deliver some seconds of video at once."""
_OVER = "the other side ended the stream"
_PLAYLIST_OVER = (
    "the playlist gives FFmpeg no more segments; check that the server adds to it and keeps its segments"
)
_INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")
_MOST_FIRSTS = 64
_HEAD_BYTES = 4096
"""Bytes of a picture within which its first slice begins after the parameter sets."""


class ContainerSource:
    """One video stream of an FFmpeg container, decoded on one thread. Use it as a context manager.

    Args:
        url: what to open.
        options: the stream's configuration.
        parts: the parts of the stream.
        connection: what another thread has found out about FFmpeg's connection.

    Raises:
        SourceError: it can't be opened, or holds no video that FFmpeg decodes.
    """

    def __init__(
        self,
        url: str,
        options: StreamOptions,
        parts: SourceParts,
        connection: FfmpegConnection | None = None,
    ) -> None:
        self.kind: Kind = kind_of(url)
        self._clock = parts.clock
        self._meter = parts.meter
        self._container: InputContainer | None = None
        self.parser_reason = ""
        """Why pictures pass through FFmpeg's parser, one frame late, although they should not; else empty."""
        self.choice_note = ""
        """Which of several videos is shown, as a sentence; empty if there is only one."""
        self.heard_s = self._clock.monotonic()
        """When the last whole picture came (monotonic), decodable or not.

        At first: when the source was opened.
        """
        self._firsts: dict[int | None, tuple[float | None, float]] = {}
        self._connection = connection or FfmpegConnection()
        self._url, self._options = url, options
        self._choice, self._fell_back = parts.choice, parts.fell_back
        self._connect()

    def _connect(self) -> None:
        clock, options = self._clock, self._options
        self._began_s = clock.monotonic()
        try:
            opened = open_container(self._url, self.kind, options)
            self._container, self._units = opened.container, opened.units
            self.parser_reason = opened.parser_reason
            self._stream, self.choice_note = choose_video(self._container, options.video)
            if self.kind != "rtsp":
                discard_others(self._container, self._stream)
            decoder = StreamDecoder(
                self._stream, self._choice, options, self._fell_back, in_file=self.kind != "rtsp"
            )
        except (av_error.FFmpegError, OSError, ValueError) as error:
            self.close()
            waited_s = clock.monotonic() - self._began_s
            silent = self.kind in LIVE_KINDS and waited_s >= options.open_timeout_s
            # FFmpeg's own text holds the URL with its password.
            fault = certificate_error(self._url, options, error) or source_error(error, silent=silent)
            raise explained(self._url, self.kind, options, fault, clock) from None
        except SourceError:
            self.close()
            raise
        self.heard_s = clock.monotonic()
        self._arrivals = ArrivalClock(clock, options.clock, self._began_s)
        self._time_base = self._stream.time_base or Fraction(0)
        self._extradata = self._stream.codec_context.extradata or b""
        self._time_base_s = float(self._time_base)
        self._numbers = FrameNumbers() if self._stream.codec_context.name == "h264" else None
        if self._numbers is not None:
            self._numbers.follows(self._stream.codec_context.extradata or b"")
        # FFmpeg assumes 25 pictures per second if nothing says when they were taken.
        self._has_times = self.kind != "http" or self._container.format.name not in _UNTIMED
        self.decoder = UnitDecoder(
            decoder,
            self._time_base_s,
            clock,
            self._meter,
            endless=self.endless,
            timed=self._has_times,
            keep_damaged=options.damaged == "keep",
        )

    def __enter__(self) -> ContainerSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def endless(self) -> bool:
        """Whether the source is live. Otherwise it is a recording, which is played."""
        return self.kind == "rtsp" or (self.kind in LIVE_KINDS and not self._opened.duration)

    @property
    def paced(self) -> bool:
        """Whether pictures arrive one by one.

        Otherwise they come in segments, or as fast as they are read.
        """
        return self.endless and self._opened.format.name not in _IN_PIECES

    @property
    def stamp_trouble(self) -> str:
        """What is wrong with the camera's time stamps, in words; empty while they agree with our clock."""
        return self._arrivals.stamp_trouble

    @property
    def format(self) -> str:
        """FFmpeg's name of the container format."""
        return self._opened.format.name

    @property
    def news(self) -> None:
        """None: only elapsed time can show that the source works."""

    @property
    def behind(self) -> bool:
        """Always False, because FFmpeg reads no more than requested."""
        return False

    @property
    def camera_offset_s(self) -> float | None:
        """How far the camera's clock is ahead of ours in seconds, less the transit time.

        None without its reports.
        """
        return self._arrivals.camera_offset_s

    @property
    def info(self) -> SourceInfo:
        """What the container declares."""
        context = self._stream.codec_context
        # For a live source, FFmpeg knows no average rate but guesses one from the pictures it happened to
        # see. For a recording without an average, its guess counts fields. A decoder knows the rate from its
        # first picture on.
        rate = None if self.endless else self._stream.average_rate
        fps = float(rate) if rate else self.decoder.fps
        # The codec's name, not the decoder's, such as libdav1d.
        codec = context.codec.canonical_name
        return SourceInfo(codec, context.width, context.height, fps, self.decoder.name)

    def pictures(self) -> Iterator[Decoded]:
        """Read and decode until the container ends.

        Raises:
            SourceError: the connection broke, or nothing in it can be decoded.
        """
        return live_pictures(self)

    def units(self) -> Iterator[Unit]:
        """Read access units until the container ends.

        Raises:
            SourceError: the connection broke.
        """
        try:
            for unit in self._access_units():
                self.heard_s = self._clock.monotonic()
                yield unit
        except (av_error.FFmpegError, OSError) as error:
            raise source_error(error, reading=True) from None

    def advance(self) -> bool:
        """Return False: nothing follows the end."""
        return False

    def check_end(self) -> None:
        """Raise an error if a live source has ended.

        Raises:
            SourceError: the source is not a recording.
        """
        if self.endless:
            raise SourceError("lost", _PLAYLIST_OVER if self.format in _IN_PIECES else _OVER)

    def rewind(self) -> None:
        """Go back to the first picture of a recording.

        Raises:
            SourceError: it is gone, or can't be opened any more.
        """
        container = self._opened
        # Seeking needs byte ranges, which few servers support. Of files, only those with an index know their
        # beginning.
        if self.kind == "file" and container.format.name in _INDEXED:
            with suppress(av_error.FFmpegError, OSError):
                container.seek(container.start_time if container.start_time is not None else 0)
                self.decoder.flush()
                return
        self.close()
        self._connect()

    def close(self) -> None:
        """Close the container. Only the thread that reads may call this."""
        if self._container is not None:
            self._container.close()
            self._container = None

    @property
    def _opened(self) -> InputContainer:
        if self._container is None:
            raise SourceError("closed", "the source is closed")
        return self._container

    def _access_units(self) -> Iterator[Unit]:
        noted: int | None = None
        # This loop runs ten times per picture and more.
        for packet in self._opened.demux(self._stream):
            pts = packet.pts
            if packet.size and (pts is None or pts != noted):
                self._note_first(packet)
                noted = pts
            if self._units is None:
                if packet.size:
                    yield self._whole(packet)
            elif packet.size:
                for unit in self._units.feed(bytes(packet), pts):
                    yield self._packed(unit)
            else:
                for unit in self._units.flush():
                    yield self._packed(unit)

    def _note_first(self, packet: av.Packet[Any]) -> None:
        """Note when a picture's first packet was read, and when the camera says that it was captured."""
        firsts = self._firsts
        if packet.pts in firsts and packet.pts is not None:
            return
        camera_s = _camera_time(packet) if self.kind == "rtsp" else None
        firsts[packet.pts] = (camera_s, self._clock.monotonic())
        if len(firsts) > _MOST_FIRSTS:
            del firsts[next(iter(firsts))]

    def _packed(self, unit: AccessUnit) -> Unit:
        packet = packet_of(unit.data, unit.pts, self._time_base)
        return self._timed(Unit(packet, unit.key, unit.disposable, recovery=unit.recovery))

    def _whole(self, packet: av.Packet[Any]) -> Unit:
        return self._timed(Unit(packet, packet.is_keyframe, packet.is_disposable))

    def _timed(self, unit: Unit) -> Unit:
        self._meter.frame_received()
        packet = unit.packet
        pts = packet.pts
        camera_s, read_s = self._firsts.pop(pts, (None, self._clock.monotonic()))
        extradata = self._extradata
        if not self.endless:
            return unit._replace(extradata=extradata)
        pts_s = None if pts is None or not self._has_times else pts * self._time_base_s
        drained = self._connection.drained(packet.size, pts_s, self._clock.monotonic())
        arrival = self._arrivals.note(pts_s, read_s, camera_s, drained=drained)
        follows = self._numbers is None or self._numbers.follows(bytes(memoryview(packet)[:_HEAD_BYTES]))
        whole = follows or (unit.key and not unit.recovery)
        return unit._replace(arrival=arrival, whole=whole, extradata=extradata)


def _camera_time(packet: av.Packet[Any]) -> float | None:
    """Return the capture time in Unix seconds from the packet's producer reference time.

    FFmpeg derives it from RTCP sender reports. AVProducerReferenceTime (libavutil/defs.h) begins with an
    int64 of microseconds.
    """
    reference = packet.get_sidedata("prft")
    if not reference:
        return None
    wallclock_us: int = struct.unpack_from("q", bytes(reference))[0]
    return wallclock_us / 1e6
