"""A URL that returns one picture per request, such as a camera's snapshot; polled at the stream's `fps`."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import av

from framelane.core.errors import SourceError
from framelane.sources.decoding.decoder import ON_CPU, BareVideo, StreamDecoder
from framelane.sources.decoding.live_source import live_pictures
from framelane.sources.decoding.source_parts import ignore_fallback
from framelane.sources.decoding.unit_decoder import UnitDecoder
from framelane.sources.http.client import NOT_MODIFIED, BrokenBodyError, Limits
from framelane.sources.interfaces.source import Decoded, Kind, SourceInfo
from framelane.sources.interfaces.units import Unit, packet_of
from framelane.sources.timing.arrival_clock import arrival_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from framelane.config.sections.stream import StreamOptions
    from framelane.sources.decoding.source_parts import SourceParts
    from framelane.sources.http.client import HttpClient, Response

DEFAULT_FPS = 1.0
_CODECS = ((b"\xff\xd8", "mjpeg"), (b"\x89PNG", "png"), (b"RIFF", "webp"))
_TIME_BASE = Fraction(1, 1_000_000)
_MOST_BYTES = 64 << 20
# Broken pictures in a row.
_MOST_BROKEN = 10


class SnapshotSource:
    """Requests one picture after another; a context manager.

    Requests follow a grid of `fps`, however long an answer takes, and missed ones are not made up for. If a
    server identifies its pictures (ETag, Last-Modified), only changed ones are transferred.

    Args:
        client: fetches.
        first: the answer to the first request, not yet read.
        options: the stream's configuration.
        parts: the parts of the stream. Only the CPU decodes single pictures.
        unchanged: called with True when the server says that its picture has not changed, and False when it
            has.

    Raises:
        SourceError: the answer is not a picture.
    """

    kind: Kind = "http"
    endless: Literal[True] = True
    paced: Literal[True] = True
    news: None = None
    behind: Literal[False] = False
    parser_reason = choice_note = date_note = ""
    camera_offset_s: None = None

    def __init__(
        self,
        client: HttpClient,
        first: Response,
        options: StreamOptions,
        parts: SourceParts,
        unchanged: Callable[[bool], None],
    ) -> None:
        clock, meter = parts.clock, parts.meter
        self._client, self._options, self._clock, self._meter = client, options, clock, meter
        self._stopping, self._unchanged = parts.stopping, unchanged
        self._interval_s = 1 / (options.fps or DEFAULT_FPS)
        self._began_s = self.heard_s = clock.monotonic()
        """When the last picture was read (monotonic); at first, when the source was opened."""
        self._tags: dict[str, str] = {}
        self._broken = 0
        self._first = self._read(first)
        self._codec = _codec_of(self._first) if self._first is not None else "mjpeg"
        context = av.CodecContext.create(self._codec, "r")
        decoder = StreamDecoder(BareVideo(context), ON_CPU, options, ignore_fallback)  # type: ignore[arg-type] # of video
        self.decoder = UnitDecoder(decoder, float(_TIME_BASE), clock, meter, endless=True)
        """Decodes the pictures."""

    def __enter__(self) -> SnapshotSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def info(self) -> SourceInfo:
        """What is known before the first picture is decoded."""
        return SourceInfo(self._codec, 0, 0, 1 / self._interval_s, "cpu", limited=True)

    def units(self) -> Iterator[Unit]:
        """Yield pictures until stopped.

        Raises:
            SourceError: the server does not answer, or sends something other than a picture.
        """
        data, index = self._first, 0
        self._first = None
        while not self._stopping.is_set():
            if data is not None:
                self.heard_s = self._clock.monotonic()
                packet = packet_of(data, round(index * self._interval_s * 1e6), _TIME_BASE)
                yield Unit(packet, key=True, disposable=True, arrival=arrival_now(self._clock))
                del packet
            index = self._next(index)
            wait_s = self._began_s + index * self._interval_s - self._clock.monotonic()
            if self._stopping.wait(max(wait_s, 0.0)):
                return
            data = self._fetch()

    def pictures(self) -> Iterator[Decoded]:
        """Read and decode on this thread, without pacing, until the stream ends.

        Raises:
            SourceError: the stream ends or breaks.
        """
        return live_pictures(self)

    def advance(self) -> bool:
        """Return False: nothing follows the end."""
        return False

    def check_end(self) -> None:
        """Do nothing: the source ends only when stopped."""

    def close(self) -> None:
        """Do nothing: no connection is open between two pictures."""

    def _next(self, index: int) -> int:
        """Return the index of the next picture that is not due yet."""
        passed = int((self._clock.monotonic() - self._began_s) / self._interval_s)
        return max(index, passed) + 1

    def _fetch(self) -> bytes | None:
        """Return the next picture; None if it has not changed or is broken."""
        with self._client.get(self._client.url, self._options.read_timeout_s, self._tags) as response:
            if response.status == NOT_MODIFIED:
                self._unchanged(True)  # noqa: FBT003
                return None
            self._unchanged(False)  # noqa: FBT003
            data = self._read(response)
        if data is not None and _codec_of(data) != self._codec:
            raise SourceError("invalid", "the server sends another kind of picture than before")
        return data

    def _read(self, response: Response) -> bytes | None:
        """Return the picture in a response; None if it is broken, which is counted."""
        self._meter.frame_received()
        limits = Limits(_MOST_BYTES, self._options.read_timeout_s)
        try:
            data = response.read(limits)
        except BrokenBodyError:
            data = b""
        if not data:
            self._broken += 1
            self._meter.frame_dropped("decode")
            if self._broken >= _MOST_BROKEN:
                raise SourceError("undecodable", f"{self._broken} pictures in a row were incomplete")
            return None
        self._broken = 0
        tags = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
        self._tags = {ask: response.headers[tell] for ask, tell in tags if response.headers[tell]}
        return data


def _codec_of(data: bytes) -> str:
    for magic, codec in _CODECS:
        if data.startswith(magic):
            return codec
    raise SourceError("invalid", "the server's answer is not a picture; supported are JPEG, PNG and WebP")
