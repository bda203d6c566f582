"""FFmpeg alone: frames a second and CPU a frame of one decoding thread a stream, from files or live cameras."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import av
import psutil
from av import error as av_error

from framelane.bench.errors import BenchError
from framelane.bench.figures import Percentiles, slowest_to_fastest
from framelane.bench.host import Host, describe_host
from framelane.bench.report import Section, figures_section, latency_text, number
from framelane.config.schema import StreamOptions
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.sources.container import ContainerSource
from framelane.sources.faults import source_error
from framelane.sources.source import LIVE_KINDS, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Parser = Literal["product", "ffmpeg"]

_OPEN_TIMEOUT_S = 60.0
_SETTLE_S = 1.0  # a camera's first second comes in bursts


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


SOURCES: dict[Parser, Callable[[str, StreamOptions], PictureSource]] = {
    "product": lambda url, options: ContainerSource(url, options, SystemClock(), _Uncounted()),
    "ffmpeg": PlainSource,
}


@dataclass(frozen=True, slots=True)
class DecodeBench:
    """What decoding some streams took.

    Attributes:
        parser: "product" as the daemon reads, or "ffmpeg" for plain PyAV.
        live: whether the cameras set the pace; files are decoded as fast as that goes.
        frames_s: frames a second of all streams together.
        slowest_to_fastest: rate of the slowest stream over the fastest's.
        cpu_cores: core-seconds a second.
        cpu_ms_a_frame: CPU time of the process a frame.
        interval_ms: from one frame of a stream to its next; for files that is the time a frame takes.
    """

    host: Host
    parser: Parser
    streams: int
    live: bool
    seconds: float
    frames: int
    frames_s: float
    slowest_to_fastest: float | None
    cpu_cores: float
    cpu_ms_a_frame: float
    interval_ms: Percentiles | None
    rss_mb: float

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return asdict(self)

    def sections(self) -> tuple[Section, ...]:
        """One table."""
        pace = "live" if self.live else "as fast as possible"
        figures = {
            "streams": str(self.streams),
            "frames/s": number(self.frames_s),
            "slowest/fastest stream": number(self.slowest_to_fastest, 3),
            "CPU cores": number(self.cpu_cores, 3),
            "CPU ms a frame": number(self.cpu_ms_a_frame, 3),
            "ms between frames, p50 / p90 / p95 / p99": latency_text(self.interval_ms),
            "RSS MB": number(self.rss_mb, 0),
        }
        title = f"Decode with parser {self.parser}, {pace}, {self.seconds:.1f} s\n{self.host}"
        return (figures_section(title, figures),)


def bench_decode(
    urls: Sequence[str],
    streams: int = 0,
    seconds: float = 10.0,
    parser: Parser = "product",
    options: StreamOptions | None = None,
) -> DecodeBench:
    """Decode streams, each on a thread of its own, and measure once all of them run.

    Args:
        urls: files or cameras, dealt over the streams; a file starts again at its end.
        streams: how many; 0 for one a URL.
        seconds: how long to measure.
        parser: how packets become frames.
        options: transport and timeouts of the streams.

    Raises:
        SourceError: a stream can't be opened, or broke.
        BenchError: there are no URLs, or a stream gave no frame in time.
    """
    if not urls:
        raise BenchError("nothing to decode; give a file or a camera's URL")
    host = describe_host()
    chosen = [urls[index % len(urls)] for index in range(streams or len(urls))]
    live = any(kind_of(url) in LIVE_KINDS for url in chosen)
    crowd = _Crowd(len(chosen) + 1)
    with ThreadPoolExecutor(len(chosen), "bench-decode") as pool:
        readers = [
            pool.submit(_read, SOURCES[parser], url, options or StreamOptions(), crowd) for url in chosen
        ]
        window = crowd.measure(_SETTLE_S if live else 0.0, seconds)
        seen_s = [reader.result() for reader in readers]
    inside = [[at_s for at_s in each if window.begin_s <= at_s < window.end_s] for each in seen_s]
    return _describe(host, parser, window, inside, live=live)


def _describe(
    host: Host, parser: Parser, window: _Window, seen_s: Sequence[Sequence[float]], *, live: bool
) -> DecodeBench:
    frames = sum(len(each) for each in seen_s)
    if not frames:
        raise BenchError("no frame came while measuring; measure for longer, or check the streams")
    wall_s = window.end_s - window.begin_s
    intervals_s = [later - sooner for each in seen_s for sooner, later in pairwise(each)]
    return DecodeBench(
        host=host,
        parser=parser,
        streams=len(seen_s),
        live=live,
        seconds=wall_s,
        frames=frames,
        frames_s=frames / wall_s,
        slowest_to_fastest=slowest_to_fastest([len(each) / wall_s for each in seen_s]),
        cpu_cores=window.cpu_s / wall_s,
        cpu_ms_a_frame=1e3 * window.cpu_s / frames,
        interval_ms=Percentiles.of_seconds(intervals_s),
        rss_mb=window.rss_mb,
    )


class _Window(NamedTuple):
    """Begin and end on `perf_counter`, and what the process used in between and at the end."""

    begin_s: float
    end_s: float
    cpu_s: float
    rss_mb: float


class _Crowd:
    """Lets all readers begin together, and tells them to stop."""

    def __init__(self, parties: int) -> None:
        self.stopping = threading.Event()
        self._together = threading.Barrier(parties)

    def gather(self) -> bool:
        """Wait for the others; False where one of them failed."""
        try:
            self._together.wait(_OPEN_TIMEOUT_S)
        except threading.BrokenBarrierError:
            return False
        return True

    def leave(self) -> None:
        """One reader has ended, because all shall or because it failed: nobody need wait any longer."""
        self._together.abort()
        self.stopping.set()

    def measure(self, settle_s: float, seconds: float) -> _Window:
        """Wait until all run, then let `seconds` pass, and stop them; empty where one of them failed."""
        try:
            if not self.gather():
                return _Window(0.0, 0.0, 0.0, 0.0)
            self.stopping.wait(settle_s)
            begin_s, cpu_s = time.perf_counter(), time.process_time()
            self.stopping.wait(seconds)
            used_s = time.process_time() - cpu_s
            return _Window(begin_s, time.perf_counter(), used_s, psutil.Process().memory_info().rss / 1e6)
        finally:
            self.stopping.set()


def _read(
    open_source: Callable[[str, StreamOptions], PictureSource],
    url: str,
    options: StreamOptions,
    crowd: _Crowd,
) -> list[float]:
    """When each frame was there."""
    try:
        with closing(open_source(url, options)) as source:
            return _watch(source, crowd)
    finally:
        crowd.leave()


def _watch(source: PictureSource, crowd: _Crowd) -> list[float]:
    seen_s: list[float] = []
    while True:
        for _picture in source.pictures():
            if not seen_s and not crowd.gather():
                return seen_s
            seen_s.append(time.perf_counter())
            if crowd.stopping.is_set():
                return seen_s
        if not seen_s:
            raise BenchError("a stream ended without one picture that can be decoded")
        source.rewind()
