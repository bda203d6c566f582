"""What a stream's URL names, and what any source gives: pictures with their times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from framelane.config.address import AddressError, source_kind
from framelane.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

    from framelane.sources.arrivals import Arrival

Kind = Literal["rtsp", "http", "device", "folder", "file"]

LIVE_KINDS: frozenset[Kind] = frozenset({"rtsp", "http", "device"})


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture and what is known of its time.

    Attributes:
        picture: the pixels, in the decoder's own format.
        pts_s: presentation time in seconds as the source has it, None where it has none.
        arrival: when it came in and was captured; None of what is played, which is captured when it is played.
    """

    picture: av.VideoFrame
    pts_s: float | None
    arrival: Arrival | None


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What an open source says of itself; `fps` is None where it declares none."""

    codec: str
    width: int
    height: int
    fps: float | None
    decoder: str


class SourceMeter(Protocol):
    """Told of each packet read and each frame that could not be decoded."""

    def frame_received(self) -> None:
        """A packet of video was read."""
        ...

    def frame_dropped(self, reason: str, count: int = 1) -> None:
        """Frames were lost for a reason."""
        ...


class Source(Protocol):
    """An open source; only the thread that opened it reads and closes it."""

    @property
    def info(self) -> SourceInfo:
        """What the source says of itself."""
        ...

    def pictures(self) -> Iterator[Decoded]:
        """Pictures until the source ends; raises SourceError when it breaks."""
        ...

    def rewind(self) -> None:
        """Go back to the first picture, for a loop; raises SourceError where that can't be."""
        ...

    def close(self) -> None:
        """Let go of the connection and the decoder; may be called twice."""
        ...


def kind_of(url: str) -> Kind:
    """What a URL or path names, by its scheme and by what lies there.

    Raises:
        SourceError: the scheme is none that Framelane opens.
    """
    try:
        kind = source_kind(url)
    except AddressError as error:
        raise SourceError("protocol", str(error)) from error
    if kind != "path":
        return kind
    return "folder" if Path(url).is_dir() else "file"
