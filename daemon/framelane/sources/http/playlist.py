"""Reads HLS playlists (RFC 8216): a server's variants, and the segments of one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from framelane.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = "#EXTM3U"
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s*(?:(Z)|([+-])(\d\d):?(\d\d))?", re.IGNORECASE
)
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_SOUND = ("mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "alac", "mp3")
_MOST_SEGMENTS = 20_000
_DEFAULT_TARGET_S = 10.0
_LEAST_TARGET_S, _MOST_TARGET_S = 0.2, 120.0


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of a resource: a number of bytes from an offset on."""

    length: int
    offset: int

    @property
    def header(self) -> str:
        """The value of an HTTP Range header."""
        return f"bytes={self.offset}-{self.offset + self.length - 1}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A URL, or a byte range of it."""

    url: str
    part: ByteRange | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of video.

    Attributes:
        resource: where it is.
        sequence: its media sequence number.
        duration_s: its duration from the playlist.
        breaks: whether it can't be demuxed together with the previous one (EXT-X-DISCONTINUITY).
        head: initialization data for several such segments (EXT-X-MAP).
        date: Unix time at which its first picture was captured; None if the playlist has none.
        missing: whether the server marks it as missing (EXT-X-GAP).
    """

    resource: Resource
    sequence: int
    duration_s: float
    breaks: bool
    head: Resource | None = None
    date: float | None = None
    missing: bool = False


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """The segments that a server currently lists.

    Attributes:
        target_s: no segment is longer than this, in seconds.
        segments: the oldest first.
        ended: whether no more will come.
        encrypted: whether any segment is encrypted.
    """

    target_s: float
    segments: tuple[Segment, ...]
    ended: bool
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Variant:
    """One rendition of the video.

    Attributes:
        url: of its own playlist.
        bandwidth: bits per second.
        size_wh: in pixels; None if the playlist has none.
        sound: whether it has audio only.
    """

    url: str
    bandwidth: int
    size_wh: tuple[int, int] | None
    sound: bool

    def __str__(self) -> str:
        size = "" if self.size_wh is None else f"{self.size_wh[0]}x{self.size_wh[1]}, "
        return f"{size}{self.bandwidth / 1e6:.3g} Mbit/s"


def parse_variants(text: str, url: str) -> list[Variant]:
    """Return the variants of a master playlist, in its order; empty for a media playlist.

    Args:
        text: the playlist.
        url: its address, which addresses in it are relative to.
    """
    found: list[Variant] = []
    attributes: dict[str, str] | None = None
    for line in _lines(text):
        if line.startswith("#EXT-X-STREAM-INF:"):
            attributes = _attributes(line)
        elif not line.startswith("#") and attributes is not None:
            found.append(_variant(attributes, urljoin(url, line)))
            attributes = None
    return found


def parse_media(text: str, url: str) -> MediaPlaylist:
    """Parse a media playlist.

    Raises:
        SourceError: the text is not a media playlist, or too long.
    """
    if not text.lstrip("\ufeff").startswith(MAGIC):
        raise SourceError("invalid", "the server's answer is not an HLS playlist")
    reader = _Reader(url)
    for line in _lines(text):
        reader.take(line)
        if len(reader.segments) > _MOST_SEGMENTS:
            raise SourceError("invalid", f"the playlist has more than {_MOST_SEGMENTS} segments")
    return MediaPlaylist(reader.target_s, _dated(reader.segments), reader.ended, reader.encrypted)


def _dated(segments: list[Segment]) -> tuple[Segment, ...]:
    """Return the segments with dates, including those before the first date (section 6.3.3)."""
    dated: list[Segment] = []
    following: Segment | None = None
    for segment in reversed(segments):
        date = segment.date
        if date is None and following is not None and following.date is not None and not following.breaks:
            date = following.date - segment.duration_s
        following = replace(segment, date=date)
        dated.append(following)
    return tuple(reversed(dated))


class _Reader:
    """Parses line by line and collects what applies to the next segment."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.target_s = _DEFAULT_TARGET_S
        self.segments: list[Segment] = []
        self.ended = self.encrypted = False
        self._sequence = 0
        self._breaks = False
        self._duration_s = 0.0
        self._head: Resource | None = None
        self._part: ByteRange | None = None
        self._part_end = 0
        self._date: float | None = None
        self._missing = False

    def take(self, line: str) -> None:  # noqa: C901 - one line per tag
        tag, _, value = line.partition(":")
        if not line.startswith("#"):
            self._segment(line)
        elif tag == "#EXTINF":
            self._duration_s = _number(value.partition(",")[0])
        elif tag == "#EXT-X-TARGETDURATION":
            self.target_s = min(max(_number(value), _LEAST_TARGET_S), _MOST_TARGET_S)
        elif tag == "#EXT-X-MEDIA-SEQUENCE":
            self._sequence = int(_number(value))
        elif tag == "#EXT-X-DISCONTINUITY":
            self._breaks = True
            self._date = None
        elif tag == "#EXT-X-PROGRAM-DATE-TIME":
            self._date = parse_date(value)
        elif tag == "#EXT-X-MAP":
            self._head = self._map(_attributes(line))
        elif tag == "#EXT-X-BYTERANGE":
            self._part = self._range(value)
        elif tag == "#EXT-X-KEY":
            self.encrypted |= _attributes(line).get("METHOD", "NONE") != "NONE"
        elif tag == "#EXT-X-GAP":
            self._missing = True
        elif tag == "#EXT-X-ENDLIST":
            self.ended = True

    def _segment(self, address: str) -> None:
        resource = Resource(urljoin(self._url, address), self._part)
        self.segments.append(
            Segment(
                resource,
                self._sequence,
                self._duration_s,
                self._breaks,
                self._head,
                self._date,
                self._missing,
            )
        )
        self._sequence += 1
        # A segment without a date continues the previous segment (section 4.3.2.6).
        self._date = None if self._date is None else self._date + self._duration_s
        self._part_end = 0 if self._part is None else self._part.offset + self._part.length
        self._duration_s, self._part = 0.0, None
        self._breaks = self._missing = False

    def _map(self, attributes: dict[str, str]) -> Resource | None:
        address = attributes.get("URI")
        if not address:
            return None
        part = attributes.get("BYTERANGE")
        return Resource(urljoin(self._url, address), None if part is None else _byte_range(part, 0))

    def _range(self, value: str) -> ByteRange | None:
        return _byte_range(value, self._part_end)


def parse_date(text: str) -> float | None:
    """Return the Unix time of an ISO 8601 date and time, by default in UTC; None if it is invalid."""
    found = _DATE.match(text.strip())
    if found is None:
        return None
    day, time, fraction, _, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    if sign is not None:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        moment -= offset if sign == "+" else -offset
    return moment.timestamp() + float(f"0.{fraction or 0}")


def _lines(text: str) -> Iterator[str]:
    return (line for line in map(str.strip, text.splitlines()) if line)


def _attributes(line: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}


def _variant(attributes: dict[str, str], url: str) -> Variant:
    size = _SIZE.fullmatch(attributes.get("RESOLUTION", ""))
    codecs = [each.strip().lower() for each in attributes.get("CODECS", "").split(",") if each.strip()]
    return Variant(
        url,
        int(_number(attributes.get("BANDWIDTH", "0"))),
        None if size is None else (int(size[1]), int(size[2])),
        size is None and bool(codecs) and all(each.startswith(_SOUND) for each in codecs),
    )


def _number(text: str) -> float:
    """Return a non-negative number; 0 if the text is none."""
    found = re.match(r"\s*(\d{1,15}(?:\.\d{1,15})?)", text)
    return float(found[1]) if found else 0.0


def _byte_range(text: str, next_offset: int) -> ByteRange | None:
    found = re.fullmatch(r"(\d{1,12})(?:@(\d{1,15}))?", text.strip())
    if found is None or not int(found[1]):
        return None
    return ByteRange(int(found[1]), next_offset if found[2] is None else int(found[2]))
