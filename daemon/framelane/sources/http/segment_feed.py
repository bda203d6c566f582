"""Follows a live playlist and fetches each new segment once, ahead of playback."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.sources.http.client import BrokenBodyError, Limits
from framelane.sources.http.playlist import parse_media
from framelane.sources.http.shown_segments import segment_names

if TYPE_CHECKING:
    from framelane.config.sections.stream import StreamOptions
    from framelane.core.clock import Clock
    from framelane.sources.http.client import HttpClient, Response
    from framelane.sources.http.playlist import MediaPlaylist, Resource, Segment
    from framelane.sources.http.shown_segments import ShownSegments

_PLAYLIST_LIMITS = Limits(4 << 20, 20.0)
_MOST_SEGMENT_BYTES = 128 << 20
_MOST_AHEAD_BYTES = 128 << 20
_MOST_AHEAD = 12
_MOST_FAILURES = 3
_LATE_TARGETS = 3.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A fetched segment.

    Attributes:
        segment: its entry in the playlist.
        head: initialization data for several such segments; often empty.
        data: its bytes.
        begins: whether it can't be demuxed together with the previous one.
        age_s: seconds since the playlist's last picture was captured, by this segment's date; None without a
            date.
        target_s: no segment is longer than this, in seconds.
    """

    segment: Segment
    head: bytes
    data: bytes
    begins: bool
    age_s: float | None
    target_s: float


class SegmentFeed:
    """Fetches a live playlist and its segments on its own thread, independent of the pace of playback.

    Servers end a session without requests after a few seconds, so fetching must not wait for playback. The
    amount fetched ahead is bounded; beyond that the thread waits.

    Args:
        client: fetches.
        url: of the media playlist.
        first: its current content.
        shown: the segments that the stream has shown before.
        options: the stream's configuration.
        clock: the source of time.
        name: of the thread.
    """

    def __init__(
        self,
        client: HttpClient,
        url: str,
        first: MediaPlaylist,
        shown: ShownSegments,
        options: StreamOptions,
        clock: Clock,
        name: str,
    ) -> None:
        self._client = client
        self._url = url
        self._playlist = first
        self._loaded_at = clock.wall()
        self._shown = shown
        self._options = options
        self._clock = clock
        self._changed = threading.Condition()
        self._pieces: deque[Piece] = deque()
        self._bytes = 0
        self._stopped = threading.Event()
        self._heads: dict[Resource, bytes] = {}
        self._last: Segment | None = None
        # Both count failures in a row.
        self._failed_reloads = 0
        self._lost_segments = 0
        self.fault: SourceError | None = None
        """Why no more video comes."""
        self.ended = False
        """Whether no more is fetched. Segments fetched before can still be taken."""
        self.renewed = False
        """Whether any video has come that was not there when the playlist was opened."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start fetching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop fetching. Returns at once, because the thread holds nothing but its connection."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def ahead_s(self) -> float:
        """Seconds of video that were fetched but not yet taken."""
        with self._changed:
            return sum(piece.segment.duration_s for piece in self._pieces)

    @property
    def target_s(self) -> float:
        """No segment is longer than this, in seconds."""
        return self._playlist.target_s

    def peek(self, timeout_s: float) -> Piece | None:
        """Return the next segment without taking it; None if none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._pieces or self.ended or self._stopped.is_set(), timeout_s)
            return self._pieces[0] if self._pieces else None

    def take(self) -> None:
        """Remove the next segment."""
        with self._changed:
            self._bytes -= len(self._pieces.popleft().data)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._follow()
        except SourceError as fault:
            self.fault = fault
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _follow(self) -> None:
        news_s, first = self._clock.monotonic(), self._shown.empty
        while not self._stopped.is_set():
            loaded_s = self._clock.monotonic()
            new = self._fetch_new()
            if new:
                news_s = loaded_s
                self.renewed |= not first
            if self._playlist.ended:
                raise SourceError("ended", "the server has ended the stream: its playlist says so")
            target_s = self._playlist.target_s
            most_s = max(self._options.read_timeout_s, _LATE_TARGETS * target_s)
            if loaded_s - news_s > most_s and not self._failed_reloads:
                self._shown.unchanged = True
                raise unchanged_error()
            first = False
            # Section 6.3.4: after an unchanged playlist, wait half as long.
            wait_s = loaded_s + (target_s if new else target_s / 2) - self._clock.monotonic()
            if not self._stopped.wait(max(wait_s, 0.0)):
                self._reload()

    def _reload(self) -> None:
        try:
            self._playlist = load_media(self._client, self._url, self._options)
            self._loaded_at, self._failed_reloads = self._clock.wall(), 0
        except SourceError:
            # Single failures are common.
            self._failed_reloads += 1
            if self._failed_reloads >= _MOST_FAILURES:
                raise

    def _fetch_new(self) -> bool:
        """Fetch the new segments of the playlist and return whether there were any."""
        segments, any_new = self._playlist.segments, False
        names = segment_names(segments)
        for segment in self._shown.unseen(segments):
            if self._stopped.is_set():
                break
            name = names[segment.sequence]
            if segment.missing:
                self._shown.pass_over(segment, name)
                continue
            data = self._fetch(segment)
            if data is None:
                self._shown.pass_over(segment, name)
            elif self._shown.is_new(segment, data, name):
                any_new = True
                self._shown.unchanged = False
                self._put(segment, data)
        return any_new

    def _fetch(self, segment: Segment) -> bytes | None:
        """Return a segment; None if it can't be fetched, for example because the server has deleted it."""
        try:
            if segment.head is not None and segment.head not in self._heads:
                self._heads = {segment.head: self._body(segment.head)}
            data = self._body(segment.resource)
        except SourceError:
            self._lost_segments += 1
            if self._lost_segments >= _MOST_FAILURES:
                raise
            return None
        self._lost_segments = 0
        return data

    def _body(self, resource: Resource) -> bytes:
        headers = {} if resource.part is None else {"Range": resource.part.header}
        limits = Limits(_MOST_SEGMENT_BYTES, max(self._options.read_timeout_s, 2 * self._playlist.target_s))
        try:
            with self._client.get(resource.url, self._options.read_timeout_s, headers) as response:
                data = response.read(limits)
        except BrokenBodyError:
            raise SourceError("lost", "the server breaks off in the middle of a segment") from None
        part = resource.part
        if part is None or len(data) <= part.length:
            return data
        # The server does not support ranges.
        return data[part.offset : part.offset + part.length]

    def _put(self, segment: Segment, data: bytes) -> None:
        last, self._last = self._last, segment
        follows = last is not None and (last.sequence + 1, last.head) == (segment.sequence, segment.head)
        head = b"" if segment.head is None else self._heads[segment.head]
        begins = segment.breaks or not follows
        piece = Piece(segment, head, data, begins, self._age_s(segment), self._playlist.target_s)
        with self._changed:
            self._changed.wait_for(lambda: self._stopped.is_set() or self._has_room(len(data)))
            self._pieces.append(piece)
            self._bytes += len(data)
            self._changed.notify_all()

    def _age_s(self, segment: Segment) -> float | None:
        if segment.date is None:
            return None
        rest_s = sum(each.duration_s for each in self._playlist.segments if each.sequence >= segment.sequence)
        return self._loaded_at - segment.date - rest_s

    def _has_room(self, size: int) -> bool:
        fits = len(self._pieces) < _MOST_AHEAD and self._bytes + size <= _MOST_AHEAD_BYTES
        return fits or not self._pieces


def load_text(client: HttpClient, url: str, options: StreamOptions) -> tuple[str, str]:
    """Return a playlist and its final address after redirects.

    Raises:
        SourceError: it can't be fetched.
    """
    with client.get(url, options.read_timeout_s) as response:
        return read_text(response), response.url


def read_text(response: Response) -> str:
    """Return the playlist in a response.

    Raises:
        SourceError: it is incomplete, too large, or takes too long.
    """
    try:
        return response.read(_PLAYLIST_LIMITS).decode("utf-8", "replace")
    except BrokenBodyError:
        raise SourceError("lost", "the server breaks off in the middle of the playlist") from None


def load_media(client: HttpClient, url: str, options: StreamOptions) -> MediaPlaylist:
    """Fetch and parse a media playlist.

    Raises:
        SourceError: it can't be fetched, or is not a media playlist.
    """
    return parse_media(*load_text(client, url, options))


def unchanged_error() -> SourceError:
    """Return the error for a playlist that gets no new segments."""
    text = "the playlist does not change: the server answers, but adds no video; check what feeds it"
    return SourceError("unchanged", text)
