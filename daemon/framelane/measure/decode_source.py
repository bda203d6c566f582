"""Sources for the decoding benchmark: the daemon's own, on CPU or NVDEC, and a minimal one in PyAV."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import av
from av import error as av_error

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.gpu.availability import why_no_nvdec
from framelane.measure.errors import BenchError
from framelane.sources.decoding.decoder import ON_CPU
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.interfaces.source import LIVE_KINDS, kind_of
from framelane.sources.network.ffmpeg_errors import source_error
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.sources.decoding.decoder import DecoderChoice

Parser = Literal["product", "ffmpeg"]


class PictureSource(Protocol):
    """A source of frames that can restart."""

    def pictures(self) -> Iterator[object]:
        """Yield frames until the source ends."""
        ...

    def rewind(self) -> None:
        """Go back to the first frame."""
        ...

    def close(self) -> None:
        """Release decoder and connection."""
        ...


class PlainSource:
    """The minimum that PyAV needs to decode a stream on one thread: the baseline for overheads.

    Raises:
        SourceError: it can't be opened.
    """

    def __init__(self, url: str, options: StreamOptions) -> None:
        rtsp: dict[str, str] = {"rtsp_transport": options.transport} if kind_of(url) == "rtsp" else {}
        timeout = (options.open_timeout_s, options.read_timeout_s) if kind_of(url) in LIVE_KINDS else None
        try:
            self._container = av.open(url, options=rtsp, timeout=timeout)
        except (av_error.FFmpegError, OSError) as error:
            # FFmpeg's own text holds the URL with its password.
            raise source_error(error) from None
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
        """Seek to the start, which only files support."""
        try:
            self._container.seek(0)
        except (av_error.FFmpegError, OSError) as error:
            raise source_error(error) from None

    def close(self) -> None:
        """Close the container."""
        self._container.close()


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
        parts = SourceParts(SystemClock(), StreamMeter("bench"), self.choice, _refuse)
        return ContainerSource(url, self.options, parts)


def _refuse(why: str) -> None:
    raise BenchError(why)
