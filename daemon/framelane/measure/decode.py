"""Measures FFmpeg alone: one decoding thread per stream, from files or live cameras."""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from framelane.core.errors import FramelaneError
from framelane.measure.decode_source import Decoding
from framelane.measure.errors import BenchError
from framelane.measure.figures import Percentiles, slowest_to_fastest
from framelane.measure.gpu_use import GpuRecorder, GpuUse
from framelane.measure.host import Host, describe_host
from framelane.measure.process import answer_of
from framelane.measure.report import Section, figures_section, latency_text, number
from framelane.sources.interfaces.source import LIVE_KINDS, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from framelane.measure.decode_source import Parser, PictureSource

_OPEN_TIMEOUT_S = 60.0
_LOOK_S = 0.25
# A camera's first second comes in bursts.
_SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class DecodeBench:
    """The cost of decoding some streams.

    Attributes:
        parser: "product" as the daemon reads, or "ffmpeg" for plain PyAV.
        decoder: "cpu", "nvdec", or "nvdec, downloaded" if the frames were copied to host memory.
        processes: among which the streams are divided.
        live: whether the cameras set the pace; files are decoded as fast as possible.
        frames_s: frames per second of all streams together.
        slowest_to_fastest: rate of the slowest stream over the fastest's.
        cpu_cores: core-seconds per second.
        cpu_ms_a_frame: CPU time of the process per frame.
        interval_ms: between frames of a stream; for files, the time that a frame takes.
    """

    host: Host
    parser: Parser
    decoder: str
    processes: int
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
    gpu: GpuUse | None

    def as_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return asdict(self)

    def sections(self) -> tuple[Section, ...]:
        """Return one table."""
        pace = "live" if self.live else "as fast as possible"
        figures = {
            "streams": str(self.streams),
            "frames/s": number(self.frames_s),
            "slowest/fastest stream": number(self.slowest_to_fastest, 3),
            "CPU cores": number(self.cpu_cores, 3),
            "CPU ms per frame": number(self.cpu_ms_a_frame, 3),
            "ms between frames, p50 / p90 / p95 / p99": latency_text(self.interval_ms),
            "RSS MB": number(self.rss_mb, 0),
        }
        if self.processes > 1:
            figures = {"processes": str(self.processes), **figures}
        if self.gpu is not None:
            figures["NVDEC busy %"] = number(100 * self.gpu.decoder_utilization)
            figures["GPU memory MB"] = number(self.gpu.memory_mb, 0)
        how = f"parser {self.parser}, decoder {self.decoder}"
        title = f"Decode with {how}, {pace}, {self.seconds:.1f} s\n{self.host}"
        return (figures_section(title, figures),)


def bench_decode(
    urls: Sequence[str],
    streams: int = 0,
    seconds: float = 10.0,
    decoding: Decoding | None = None,
    processes: int = 1,
) -> DecodeBench:
    """Decode streams, each on its own thread, and measure once all of them run.

    Args:
        urls: files or cameras, distributed over the streams; a file restarts at its end.
        streams: number of streams; 0 for one per URL.
        seconds: how long to measure.
        decoding: how packets become frames.
        processes: among which the streams are divided, at most one per stream.

    Raises:
        SourceError: a stream can't be opened, or broke.
        BenchError: there are no URLs, NVDEC refuses a stream, or a stream gave no frame in time.
    """
    if not urls:
        raise BenchError("nothing to decode; give a file or a camera's URL")
    decoding = decoding or Decoding()
    host = describe_host()
    chosen = [urls[index % len(urls)] for index in range(streams or len(urls))]
    live = any(kind_of(url) in LIVE_KINDS for url in chosen)
    task = _Task(decoding, _SETTLE_S if live else 0.0, seconds)
    gpu = decoding.choice.gpu
    if processes == 1:
        observation, use = _observed(gpu, lambda: task.run(chosen, lambda: None))
    else:
        shares = [chosen[number::processes] for number in range(min(processes, len(chosen)))]
        observation, use = _observed(gpu, lambda: _in_processes(task, shares))
    return _describe(host, task, observation, use, min(processes, len(chosen)), live=live)


@dataclass(frozen=True, slots=True)
class _Observation:
    """One process's measurement: its window, and when each frame of each stream came."""

    window: _Window
    seen_s: list[list[float]]


@dataclass(frozen=True, slots=True)
class _Task:
    """The work of each process with its share of the streams."""

    decoding: Decoding
    settle_s: float
    seconds: float

    def run(self, urls: Sequence[str], together: Callable[[], object]) -> _Observation:
        """Decode, and measure from the return of `together`, which is called once all streams run."""
        gate = _StartGate(len(urls) + 1)
        with ThreadPoolExecutor(len(urls), "bench-decode") as pool:
            readers = [pool.submit(_read, self.decoding.open, url, gate) for url in urls]
            window = gate.measure(self.settle_s, self.seconds, together)
            return _Observation(window, [reader.result() for reader in readers])


def _observed(gpu: int | None, work: Callable[[], _Observation]) -> tuple[_Observation, GpuUse | None]:
    if gpu is None:
        return work(), None
    with GpuRecorder(gpu) as recorder:
        done = threading.Event()

        def look() -> None:
            while not done.wait(_LOOK_S):
                recorder.look()

        looking = threading.Thread(target=look, name="bench-gpu", daemon=True)
        looking.start()
        try:
            observation = work()
        finally:
            done.set()
            looking.join()
        return observation, recorder.take()


def _in_processes(task: _Task, shares: Sequence[Sequence[str]]) -> _Observation:
    """Run each share in a new process; all measure at the same time."""
    fresh = multiprocessing.get_context("spawn")
    ends: list[Connection] = []
    children = []
    try:
        for share in shares:
            mine, theirs = fresh.Pipe()
            children.append(fresh.Process(target=_child, args=(theirs, task, share), daemon=True))
            children[-1].start()
            # Otherwise the end of a dead child would go unnoticed.
            theirs.close()
            ends.append(mine)
        for end in ends:
            answer_of(end)
        for end in ends:
            end.send("go")
        observations = [answer_of(end) for end in ends]
    finally:
        for child in children:
            child.terminate()
            child.join()
        for end in ends:
            end.close()
    windows = [observation.window for observation in observations]
    window = _Window(
        max(each.begin_s for each in windows),
        min(each.end_s for each in windows),
        sum(each.cpu_s for each in windows),
        sum(each.rss_mb for each in windows),
    )
    return _Observation(window, [seen_s for observation in observations for seen_s in observation.seen_s])


def _child(end: Connection, task: _Task, urls: Sequence[str]) -> None:
    def together() -> None:
        end.send(None)
        end.recv()

    try:
        end.send(task.run(urls, together))
    except FramelaneError as error:
        end.send(BenchError(str(error)))


def _describe(
    host: Host, task: _Task, observation: _Observation, use: GpuUse | None, processes: int, *, live: bool
) -> DecodeBench:
    window = observation.window
    seen_s = [[at_s for at_s in each if window.begin_s <= at_s < window.end_s] for each in observation.seen_s]
    frames = sum(len(each) for each in seen_s)
    if not frames:
        raise BenchError("no frame came while measuring; measure for longer, or check the streams")
    wall_s = window.end_s - window.begin_s
    intervals_s = [later - sooner for each in seen_s for sooner, later in pairwise(each)]
    choice = task.decoding.choice
    return DecodeBench(
        host=host,
        parser=task.decoding.parser,
        decoder="cpu" if choice.gpu is None else "nvdec, downloaded" if choice.download else "nvdec",
        processes=processes,
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
        gpu=use,
    )


class _Window(NamedTuple):
    """Begin and end on `perf_counter`, and the process's usage in between and at the end."""

    begin_s: float
    end_s: float
    cpu_s: float
    rss_mb: float


class _StartGate:
    """Starts all readers together, and tells them to stop."""

    def __init__(self, parties: int) -> None:
        self.stopping = threading.Event()
        self._together = threading.Barrier(parties)

    def gather(self) -> bool:
        """Wait for the others; return False if one of them failed."""
        try:
            self._together.wait(_OPEN_TIMEOUT_S)
        except threading.BrokenBarrierError:
            return False
        return True

    def leave(self) -> None:
        """Note that a reader has ended, on request or by failure, so that no other waits for it."""
        self._together.abort()
        self.stopping.set()

    def measure(self, settle_s: float, seconds: float, together: Callable[[], object]) -> _Window:
        """Wait until all run, let `seconds` pass, and stop them.

        Return an empty window if one of them failed.
        """
        try:
            if not self.gather():
                return _Window(0.0, 0.0, 0.0, 0.0)
            together()
            self.stopping.wait(settle_s)
            begin_s, cpu_s = time.perf_counter(), time.process_time()
            self.stopping.wait(seconds)
            used_s = time.process_time() - cpu_s
            return _Window(begin_s, time.perf_counter(), used_s, psutil.Process().memory_info().rss / 1e6)
        finally:
            self.stopping.set()


def _read(open_source: Callable[[str], PictureSource], url: str, gate: _StartGate) -> list[float]:
    """Return when each frame came."""
    try:
        with closing(open_source(url)) as source:
            return _watch(source, gate)
    finally:
        gate.leave()


def _watch(source: PictureSource, gate: _StartGate) -> list[float]:
    seen_s: list[float] = []
    while True:
        for _picture in source.pictures():
            if not seen_s and not gate.gather():
                return seen_s
            seen_s.append(time.perf_counter())
            if gate.stopping.is_set():
                return seen_s
        if not seen_s:
            raise BenchError("a stream ended without one picture that can be decoded")
        source.rewind()
