"""What the decoding benchmark reads from: the daemon's own source, on CPU or NVDEC, and the least that PyAV needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import av
from av import error as av_error

from framelane.bench.errors import BenchError
from framelane.config.schema import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.gpu.present import why_no_nvdec
from framelane.sources.container import ContainerSource
from framelane.sources.decoder import ON_CPU
from framelane.sources.faults import source_error
from framelane.sources.source import LIVE_KINDS, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.sources.decoder import DecoderChoice

Parser = Literal["product", "ffmpeg"]


class PictureSource(Protocol):
    """Pictures, again and again."""

    def pictures(self) -> Iterator[object]:
        """Pictures until the source ends."""
        ...

    def rewind(self) -> None:
        """Go back to the first one."""
        ...

    def close(self) -> None:
        """Let go of decoder and connection."""
        ...


class PlainSource:
    """The least that PyAV needs to decode a stream on one thread: the baseline of all overheads.

    Raises:
        SourceError: it can't be opened.
    """

    def __init__(self, url: str, options: StreamOptions) -> None:
        rtsp: dict[str, str] = {"rtsp_transport": options.transport} if kind_of(url) == "rtsp" else {}
        timeout = (options.open_timeout_s, options.read_timeout_s) if kind_of(url) in LIVE_KINDS else None
        try:
            self._container = av.open(url, options=rtsp, timeout=timeout)
        except (av_error.FFmpegError, OSError) as error:
            raise source_error(error) from None  # FFmpeg's own text holds the URL with its password
        if not self._container.streams.video:
            self._container.close()
            raise SourceError("no-video", "there is no video in it")
        self._container.streams.video[0].codec_context.thread_count = 1

    def pictures(self) -> Iterator[object]:
        """Decode to the end."""
        try:
            yield from self._container.decode(video=0)
        except (av_error.FFmpegError, OSError) as error:
            raise source_error(error) from None

    def rewind(self) -> None:
        """Seek to the start, which only files can."""
        try:
            self._container.seek(0)
        except (av_error.FFmpegError, OSError) as error:
            raise source_error(error) from None

    def close(self) -> None:
        """Close the container."""
        self._container.close()


class _Uncounted:
    """The meter of a source that nobody reports on."""

    def frame_received(self) -> None:
        pass

    def frame_dropped(self, reason: str, count: int = 1) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Decoding:
    """How streams are read and decoded; the defaults are the daemon's way on a CPU."""

    parser: Parser = "product"
    choice: DecoderChoice = ON_CPU
    options: StreamOptions = field(default_factory=StreamOptions)

    def open(self, url: str) -> PictureSource:
        """Open one stream.

        Raises:
            SourceError: it can't be opened.
            BenchError: NVDEC refuses it.
        """
        if self.parser == "ffmpeg":
            if self.choice.gpu is not None:
                raise BenchError("plain PyAV is measured on the CPU only; leave out --parser, or --decode")
            return PlainSource(url, self.options)
        if self.choice.gpu is not None and (why := why_no_nvdec()) is not None:
            raise BenchError(why)
        return ContainerSource(url, self.options, SystemClock(), _Uncounted(), self.choice, _refuse)


def _refuse(why: str) -> None:
    raise BenchError(why)
