"""A source that FFmpeg opens: RTSP, HTTP, HLS, files and V4L2 devices."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av import error as av_error

from framelane.core.errors import SourceError
from framelane.sources.arrivals import ArrivalClock
from framelane.sources.certificates import certificate_error
from framelane.sources.connection import Line
from framelane.sources.decoder import ON_CPU, DecoderChoice, StreamDecoder
from framelane.sources.faults import NO_DECODER, no_video_error, source_error
from framelane.sources.opening import open_container, plays_audio_alone
from framelane.sources.source import LIVE_KINDS, Decoded, Kind, SourceInfo, SourceMeter, kind_of
from framelane.sources.unit_decoder import UnitDecoder
from framelane.sources.units import Unit, packet_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from framelane.config.schema import StreamOptions
    from framelane.core.clock import Clock
    from framelane.sources.access_units import AccessUnit

_UNTIMED = ("mpjpeg", "mjpeg", "h264", "hevc")
_IN_PIECES = ("hls", "dash")
"""Protocols over HTTP that send some seconds of video at once."""
_MOST_FIRSTS = 64


class ContainerSource:
    """One video stream of an FFmpeg container, decoded on one thread. Use it as a context manager.

    Args:
        url: what to open.
        options: the stream's configuration.
        clock: where arrival times are read.
        meter: told of packets and of frames that can't be decoded.
        choice: what shall decode it.
        fell_back: told why, when it is decoded on the CPU although NVDEC was chosen.
        line: what is known of the connection, which somebody else finds out from outside.

    Raises:
        SourceError: it can't be opened, or holds no video that FFmpeg decodes.
    """

    def __init__(
        self,
        url: str,
        options: StreamOptions,
        clock: Clock,
        meter: SourceMeter,
        choice: DecoderChoice = ON_CPU,
        fell_back: Callable[[str], None] = lambda _why: None,
        line: Line | None = None,
    ) -> None:
        self.kind: Kind = kind_of(url)
        self._clock = clock
        self._meter = meter
        self._container: InputContainer | None = None
        self.parser_reason = ""
        """Why pictures come through FFmpeg's parser, a frame late, though they should not; else empty."""
        self.heard_s = clock.monotonic()
        """When the last picture came whole (monotonic), decodable or not, or this was opened."""
        self._firsts: dict[int | None, tuple[float | None, float]] = {}
        self._line = line or Line()
        self._url, self._options, self._choice, self._fell_back = url, options, choice, fell_back
        self._connect()

    def _connect(self) -> None:
        clock, options = self._clock, self._options
        self._began_s = clock.monotonic()
        try:
            opened = open_container(self._url, self.kind, options)
            self._container, self._units = opened.container, opened.units
            self.parser_reason = opened.parser_reason
            self._stream = _video_stream(self._container)
            decoder = StreamDecoder(self._stream, self._choice, options, self._fell_back)
        except (av_error.FFmpegError, OSError, ValueError) as error:
            self.close()
            waited_s = clock.monotonic() - self._began_s
            silent = self.kind in LIVE_KINDS and waited_s >= options.open_timeout_s
            # FFmpeg's own text holds the URL with its password.
            fault = certificate_error(self._url, options, error) or source_error(error, silent=silent)
            if fault.reason == "rejected" and self.kind == "rtsp" and plays_audio_alone(self._url, options):
                fault = no_video_error(audio=True)
            raise fault from None
        except SourceError:
            self.close()
            raise
        self.heard_s = clock.monotonic()
        self._arrivals = ArrivalClock(clock, options.clock, self._began_s)
        self._time_base = self._stream.time_base or Fraction(0)
        self._time_base_s = float(self._time_base)
        # FFmpeg counts 25 pictures a second where nothing says when they were taken.
        self._has_times = self.kind != "http" or self._container.format.name not in _UNTIMED
        self.decoder = UnitDecoder(
            decoder, self._time_base_s, clock, self._meter, endless=self.endless, timed=self._has_times
        )

    def __enter__(self) -> ContainerSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def endless(self) -> bool:
        """Whether it shows what is now, for as long as it lasts; else it is a recording, which is played."""
        return self.kind == "rtsp" or (self.kind in LIVE_KINDS and not self._opened.duration)

    @property
    def paced(self) -> bool:
        """Whether pictures come one by one; else they come in pieces, or as fast as they are read."""
        return self.endless and self._opened.format.name not in _IN_PIECES

    @property
    def camera_offset_s(self) -> float | None:
        """By how much the camera's clock is ahead of ours, less the way here; None where it sends no reports."""
        return self._arrivals.camera_offset_s

    @property
    def info(self) -> SourceInfo:
        """What the container declares."""
        context = self._stream.codec_context
        # FFmpeg's guess, where it has no average, counts fields; a decoder knows a rate from its first picture on.
        rate = self._stream.average_rate
        fps = float(rate) if rate else self.decoder.fps
        return SourceInfo(context.name, context.width, context.height, fps, self.decoder.name)

    def pictures(self) -> Iterator[Decoded]:
        """Read and decode until the container ends.

        Raises:
            SourceError: the connection broke, or nothing in it can be decoded.
        """
        for unit in self.units():
            yield from self.decoder.decode(unit)
        yield from self.decoder.drain()
        self.check_end()

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

    def check_end(self) -> None:
        """Say that the other side has ended what should not end.

        Raises:
            SourceError: it is no recording.
        """
        if self.endless:
            raise SourceError("lost", "the other side ended the stream")

    def rewind(self) -> None:
        """Go back to the first picture of a recording.

        Raises:
            SourceError: the file can't seek, or the server of one is gone.
        """
        if self.kind == "http":  # few servers take byte ranges, which seeking needs
            self.close()
            self._connect()
            return
        container = self._opened
        try:
            container.seek(container.start_time if container.start_time is not None else 0)
            self.decoder.flush()
        except (av_error.FFmpegError, OSError) as error:
            raise source_error(error) from None

    def close(self) -> None:
        """Close the container; only the thread that reads may do so."""
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
        # Ten pieces a picture and more, each of which comes by here.
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
        """Remember when a picture's first packet was read, and when its camera says that it was captured."""
        firsts = self._firsts
        if packet.pts in firsts and packet.pts is not None:
            return
        camera_s = _camera_time(packet) if self.kind == "rtsp" else None
        firsts[packet.pts] = (camera_s, self._clock.monotonic())
        if len(firsts) > _MOST_FIRSTS:
            del firsts[next(iter(firsts))]

    def _packed(self, unit: AccessUnit) -> Unit:
        packet = packet_of(unit.data, unit.pts, self._time_base)
        return self._timed(packet, key=unit.key, disposable=unit.disposable)

    def _whole(self, packet: av.Packet[Any]) -> Unit:
        return self._timed(packet, key=packet.is_keyframe, disposable=packet.is_disposable)

    def _timed(self, packet: av.Packet[Any], *, key: bool, disposable: bool) -> Unit:
        self._meter.frame_received()
        pts = packet.pts
        camera_s, read_s = self._firsts.pop(pts, (None, self._clock.monotonic()))
        if not self.endless:
            return Unit(packet, key, disposable)
        pts_s = None if pts is None or not self._has_times else pts * self._time_base_s
        drained = self._line.drained(packet.size, pts_s, self._clock.monotonic())
        return Unit(packet, key, disposable, self._arrivals.note(pts_s, read_s, camera_s, drained=drained))


def _video_stream(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise no_video_error(audio=False)
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise SourceError("codec", NO_DECODER)
    return stream


def _camera_time(packet: av.Packet[Any]) -> float | None:
    """Unix seconds of capture from the packet's producer reference time, which FFmpeg makes of RTCP sender reports.

    AVProducerReferenceTime (libavutil/defs.h) begins with an int64 of microseconds.
    """
    reference = packet.get_sidedata("prft")
    if not reference:
        return None
    wallclock_us: int = struct.unpack_from("q", bytes(reference))[0]
    return wallclock_us / 1e6
