"""The kinds of sources that a URL names, and their interface: frames with their times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from framelane.config.address import AddressError, source_kind
from framelane.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

    from framelane.sources.timing.arrival_clock import Arrival

Kind = Literal["rtsp", "http", "device", "folder", "file"]

LIVE_KINDS: frozenset[Kind] = frozenset({"rtsp", "http", "device"})


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded frame and its times.

    Attributes:
        picture: the pixels, in the decoder's own format.
        pts_s: the source's presentation time in seconds; None if it has none.
        arrival: when it arrived and was captured; None for a recording, whose frames are captured when
            played.
    """

    picture: av.VideoFrame
    pts_s: float | None
    arrival: Arrival | None


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """An open source's description of itself.

    Attributes:
        codec: FFmpeg's name.
        width: in pixels; 0 while unknown.
        height: in pixels; 0 while unknown.
        fps: None if the source declares none.
        decoder: "nvdec" or "cpu".
        limited: whether the source itself delivers no more than the stream's `fps`.
    """

    codec: str
    width: int
    height: int
    fps: float | None
    decoder: str
    limited: bool = False


class Source(Protocol):
    """An open source. Only the thread that opened it reads and closes it."""

    @property
    def info(self) -> SourceInfo:
        """The source's description of itself."""
        ...

    def pictures(self) -> Iterator[Decoded]:
        """Yield frames until the source ends. Raise SourceError if it breaks."""
        ...

    def rewind(self) -> None:
        """Go back to the first picture, for a loop. Raise SourceError if that is impossible."""
        ...

    def close(self) -> None:
        """Release the connection and the decoder. A repeated call does nothing."""
        ...


def kind_of(url: str) -> Kind:
    """Return the kind of a URL or path, by its scheme and by what exists there.

    Raises:
        SourceError: Framelane does not open this scheme.
    """
    try:
        kind = source_kind(url)
    except AddressError as error:
        raise SourceError("protocol", str(error)) from error
    if kind != "path":
        return kind
    return "folder" if Path(url).is_dir() else "file"
