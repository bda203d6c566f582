"""A live HLS stream as a source: segments in order, each picture once, with the playlist's times."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import av
from av import error as av_error

from framelane.core.errors import SourceError
from framelane.sources.decoding.decoder import StreamDecoder
from framelane.sources.decoding.live_source import live_pictures
from framelane.sources.decoding.unit_decoder import UnitDecoder
from framelane.sources.ffmpeg.video_choice import choose_video, discard_others
from framelane.sources.http.dates import Dates
from framelane.sources.http.segment_feed import Piece, SegmentFeed, unchanged_error
from framelane.sources.interfaces.source import Decoded, Kind, SourceInfo
from framelane.sources.interfaces.units import Unit
from framelane.sources.network.ffmpeg_errors import source_error
from framelane.sources.timing.arrival_clock import Arrival

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from av.container import InputContainer

    from framelane.config.sections.stream import StreamOptions
    from framelane.sources.decoding.source_parts import SourceParts
    from framelane.sources.http.client import HttpClient
    from framelane.sources.http.playlist import MediaPlaylist
    from framelane.sources.http.shown_segments import ShownSegments

_LOOK_S = 0.2
# One second. FFmpeg's default of 5 s is more than a server has.
_PROBE = {
    "fpsprobesize": "0",
    "analyzeduration": "1000000",
}
_MOST_STARTS = 64
_MOST_TARGETS_AHEAD = 5.0


@dataclass(frozen=True, slots=True)
class LivePlaylist:
    """The live media playlist that was found at a URL.

    Attributes:
        url: of the media playlist.
        playlist: its current content.
        note: which of several variants it is, as a sentence; empty if there is only one.
        video: index of the requested video within its segments.
    """

    url: str
    playlist: MediaPlaylist
    note: str
    video: int | None = None


class _Part:
    """The segments up to the next discontinuity, as a file that FFmpeg reads."""

    def __init__(self, feed: SegmentFeed, stopping: threading.Event) -> None:
        self._feed = feed
        self._stopping = stopping
        self._rest = memoryview(b"")
        self._at = 0
        self._begun = False
        # By their offset in this file.
        self._starts: deque[tuple[int, Piece]] = deque(maxlen=_MOST_STARTS)

    def read(self, size: int) -> bytes:
        """Return the next bytes; empty at the end of the part."""
        while not self._rest:
            if not self._next():
                return b""
        data = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        self._at += len(data)
        return data

    def _next(self) -> bool:
        piece = None
        while piece is None:
            piece = self._feed.peek(_LOOK_S)
            if self._stopping.is_set() or (piece is None and self._feed.ended):
                return False
        if piece.begins and self._begun:
            return False
        self._feed.take()
        head = b"" if self._begun else piece.head
        self._begun = True
        self._rest = memoryview(head + piece.data)
        self._starts.append((self._at, piece))
        return True

    def piece_at(self, offset: int | None) -> Piece:
        """Return the segment at an offset; the newest one if the offset is unknown."""
        if offset is not None and offset >= 0:
            for start, piece in reversed(self._starts):
                if start <= offset:
                    return piece
        return self._starts[-1][1]


class HlsSource:
    """One connection to a live HLS stream; a context manager.

    A thread fetches segments as the server lists them, and FFmpeg demuxes them. FFmpeg's own HLS reader shows
    neither which segment a picture comes from nor whether the playlist still changes.

    Args:
        client: fetches.
        found: the playlist.
        options: the stream's configuration.
        parts: the parts of the stream.
        shown: the segments that earlier connections have shown.
        name: of the thread that fetches.

    Raises:
        SourceError: there is nothing new, or no video that FFmpeg decodes.
    """

    kind: Kind = "http"
    endless: Literal[True] = True
    paced: Literal[False] = False
    parser_reason = ""
    camera_offset_s: None = None

    def __init__(
        self,
        client: HttpClient,
        found: LivePlaylist,
        options: StreamOptions,
        parts: SourceParts,
        shown: ShownSegments,
        name: str,
    ) -> None:
        clock = parts.clock
        self._options, self._clock, self._meter = options, clock, parts.meter
        self.choice_note = found.note
        """Which of several videos is shown, as a sentence; empty if there is only one."""
        self._choice, self._fell_back, self._stopping = parts.choice, parts.fell_back, parts.stopping
        if shown.unchanged and not shown.unseen(found.playlist.segments):
            raise unchanged_error()
        self._video = found.video
        self._dates = Dates(options.clock)
        self._feed = SegmentFeed(client, found.url, found.playlist, shown, options, clock, name)
        self._container: InputContainer | None = None
        self._piece: Piece | None = None
        self._piece_pts = 0
        self.heard_s = clock.monotonic()
        """When the last picture was read (monotonic); at first, when the source was opened."""
        self._feed.start()
        try:
            self._open_part()
        except SourceError:
            self.close()
            raise

    def __enter__(self) -> HlsSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def news(self) -> bool:
        """Whether new video has come that neither earlier connections nor the first playlist had."""
        return self._feed.renewed

    @property
    def behind(self) -> bool:
        """Whether more was fetched than the pace explains, because our clock is slower than the server's."""
        return self._feed.ahead_s > _MOST_TARGETS_AHEAD * self._feed.target_s

    @property
    def date_note(self) -> str:
        """A note about the playlist's dates; empty if there is none."""
        return self._dates.note

    @property
    def info(self) -> SourceInfo:
        """What the segments declare."""
        context, rate = self._stream.codec_context, self._stream.average_rate
        fps = float(rate) if rate else self.decoder.fps
        return SourceInfo(context.name, context.width, context.height, fps, self.decoder.name)

    def units(self) -> Iterator[Unit]:
        """Read access units up to the next discontinuity, or until no more come.

        Raises:
            SourceError: the data can't be demuxed.
        """
        assert self._container is not None  # noqa: S101 - open until close
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    self.heard_s = self._clock.monotonic()
                    self._meter.frame_received()
                    yield Unit(packet, packet.is_keyframe, packet.is_disposable, self._arrival(packet))
        except (av_error.FFmpegError, OSError) as error:
            raise source_error(error, reading=True) from None

    def pictures(self) -> Iterator[Decoded]:
        """Read and decode on this thread, without pacing, until the stream ends.

        Raises:
            SourceError: the stream ends or breaks.
        """
        return live_pictures(self)

    def advance(self) -> bool:
        """Open the part after a discontinuity; return False if none follows.

        Raises:
            SourceError: the part holds no video that FFmpeg decodes.
        """
        while not self._stopping.is_set():
            if self._feed.peek(_LOOK_S) is not None:
                self._open_part()
                return True
            if self._feed.ended:
                return False
        return False

    def check_end(self) -> None:
        """Raise the reason why no more video comes.

        Raises:
            SourceError: always, unless it was stopped.
        """
        if self._feed.fault is not None:
            raise SourceError(self._feed.fault.reason, str(self._feed.fault))

    def close(self) -> None:
        """Stop fetching. Only the thread that reads may call this."""
        self._feed.stop()
        self._close_part()

    def _close_part(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open_part(self) -> None:
        """Open the next part once its first segment has come. The feed ends if none comes for too long."""
        self._close_part()
        while self._feed.peek(_LOOK_S) is None:
            self.check_end()
            if self._stopping.is_set():
                raise SourceError("closed", "the stream is stopped")
        self._part = _Part(self._feed, self._stopping)
        try:
            container = av.open(self._part, "r", options=_PROBE)
            self._container = container
            self._stream, note = choose_video(container, self._video)
            discard_others(container, self._stream)
            decoder = StreamDecoder(self._stream, self._choice, self._options, self._fell_back, in_file=True)
        except (av_error.FFmpegError, OSError, ValueError) as error:
            self.check_end()
            raise source_error(error) from None
        self.choice_note = self.choice_note or note
        self._time_base_s = float(self._stream.time_base or 0)
        self.decoder = UnitDecoder(decoder, self._time_base_s, self._clock, self._meter, endless=True)
        """Decodes this part's units."""

    def _arrival(self, packet: av.Packet[Any]) -> Arrival:
        piece, pts = self._part.piece_at(packet.pos), packet.pts
        if piece is not self._piece:
            self._piece, self._piece_pts = piece, pts or 0
            self._dates.begin(piece)
        into_s = 0.0 if pts is None else (pts - self._piece_pts) * self._time_base_s
        captured_at = self._dates.captured_at(into_s)
        now_s = self._clock.monotonic()
        if captured_at is None:
            return Arrival(now_s, self._clock.wall(), "receive")
        return Arrival(now_s, captured_at, "playlist")
