"""Measure opening decoders up to the first frame of each: one after another, by threads, in processes."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
from av import error as av_error

from framelane.gpu.availability import why_no_nvdec
from framelane.measure.errors import BenchError
from framelane.measure.figures import Percentiles
from framelane.measure.process import answer_of
from framelane.sources.decoding.decoder import open_nvdec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from av.video.codeccontext import VideoCodecContext

    from framelane.sources.decoding.decoder import DecoderChoice

_START_TIMEOUT_S = 60.0
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Task:
    """The sessions to open.

    Attributes:
        clip: the video that all sessions decode.
        choice: NVDEC of a GPU, or the CPU.
        pictures: number of pictures that each session decodes once all are open.
        most_s: no session starts later than this.
    """

    clip: str
    choice: DecoderChoice
    pictures: int = 30
    most_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Opening:
    """One session, in seconds; `fault` says why it gave no frame.

    Attributes:
        create_s: until PyAV's codec context existed, with the GPU's context.
        first_s: from there to the first frame; the driver makes its decoder in that time.
        picture_s: time of each further frame, once all sessions were open.
    """

    create_s: float
    first_s: float
    picture_s: float = 0.0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Openings:
    """All sessions of one cell.

    Attributes:
        asked: sessions to open.
        opened: sessions that gave a frame.
        failed: sessions that gave none.
        fault: why the first of these failed.
        wall_s: from when all processes were ready until the last session's first frame.
        begin_s: longest first session of a process, which includes the driver's start.
        create_ms: time of each session until its codec context existed.
        first_ms: time of each session from there to its first frame.
        picture_ms: time of each further frame, mean of a session.
    """

    processes: int
    threads: int
    mps: bool
    asked: int
    opened: int
    failed: int
    fault: str
    wall_s: float
    begin_s: float
    create_ms: Percentiles | None
    first_ms: Percentiles | None
    picture_ms: Percentiles | None

    @property
    def session_s(self) -> float | None:
        """Return seconds per session: wall time divided by opened sessions."""
        return self.wall_s / self.opened if self.opened else None


@dataclass(frozen=True, slots=True)
class _Share:
    """One process's measurements, on the monotonic clock."""

    begin_s: float
    end_s: float
    openings: list[Opening]


def open_decoders(task: Task, sessions: int, processes: int, threads: int, *, mps: bool = False) -> Openings:
    """Open sessions on several threads in each of several processes, and keep them open.

    Raises:
        BenchError: this host has no NVDEC, or a process fails.
    """
    if task.choice.gpu is not None and (why := why_no_nvdec()) is not None:
        raise BenchError(f"NVDEC can't be measured: {why}; --cpu measures FFmpeg's decoder on the CPU")
    counts = [len(range(number, sessions, processes)) for number in range(min(processes, sessions))]
    shares = _in_processes(task, counts, threads)
    every = [opening for share in shares for opening in share.openings]
    good = [opening for opening in every if not opening.fault]
    faults = [opening.fault for opening in every if opening.fault]
    begun = [share.openings[0] for share in shares if share.openings]
    return Openings(
        len(counts),
        threads,
        mps,
        sessions,
        len(good),
        len(faults),
        faults[0] if faults else "",
        max(share.end_s for share in shares) - min(share.begin_s for share in shares),
        max((each.create_s + each.first_s for each in begun), default=0.0),
        Percentiles.of_seconds([each.create_s for each in good]),
        Percentiles.of_seconds([each.first_s for each in good]),
        Percentiles.of_seconds([each.picture_s for each in good]),
    )


class _Session:
    """A clip's first pictures in memory, and their decoder once it is open."""

    def __init__(self, task: Task, stack: ExitStack) -> None:
        self._task = task
        container = stack.enter_context(av.open(task.clip))
        self._stream = container.streams.video[0]
        self._packets: list[av.Packet[Any]] = []
        for packet in container.demux(self._stream):
            self._packets.append(packet)
            if not packet.size or len(self._packets) > task.pictures + 1:
                break
        self._decoder: VideoCodecContext | None = None

    def open(self) -> Opening:
        """Open the decoder and decode up to its first frame."""
        began_s = time.perf_counter()
        created_s = began_s
        try:
            self._decoder = self._create()
            created_s = time.perf_counter()
            while self._packets:
                if self._decoder.decode(self._packets.pop(0)):
                    return Opening(created_s - began_s, time.perf_counter() - created_s)
        except (av_error.FFmpegError, OSError, NotImplementedError) as error:
            fault = getattr(error, "strerror", None) or type(error).__name__
            return Opening(created_s - began_s, time.perf_counter() - created_s, fault=fault)
        return Opening(
            created_s - began_s, time.perf_counter() - created_s, fault="the clip has too few pictures"
        )

    def go_on(self) -> float:
        """Decode the other pictures; return the seconds per picture."""
        assert self._decoder is not None  # noqa: S101 - it has given a picture
        began_s, count = time.perf_counter(), 0
        for packet in self._packets:
            count += len(self._decoder.decode(packet))
        return (time.perf_counter() - began_s) / max(count, 1)

    def _create(self) -> VideoCodecContext:
        if self._task.choice.gpu is None:
            decoder: VideoCodecContext = self._stream.codec_context
        else:
            decoder = open_nvdec(self._stream, self._task.choice)
        decoder.thread_count = 1
        return decoder


def _open_share(task: Task, count: int, threads: int, together: Connection) -> _Share:
    """Prepare sessions, wait for the start signal, open all, then decode on."""
    with ExitStack() as stack:
        sessions = [_Session(task, stack) for _ in range(count)]
        together.send(None)
        together.recv()
        begin_s = time.monotonic()

        def opened(session: _Session) -> tuple[_Session, Opening] | None:
            return (session, session.open()) if time.monotonic() - begin_s < task.most_s else None

        def gone_on(pair: tuple[_Session, Opening]) -> Opening:
            session, opening = pair
            if opening.fault:
                return opening
            return Opening(opening.create_s, opening.first_s, session.go_on())

        with ThreadPoolExecutor(threads, "bench-open") as pool:
            pairs = [pair for pair in pool.map(opened, sessions) if pair is not None]
            end_s = time.monotonic()
            return _Share(begin_s, end_s, list(pool.map(gone_on, pairs)))


def _child(end: Connection, task: Task, count: int, threads: int) -> None:
    try:
        end.send(_open_share(task, count, threads, end))
    except (av_error.FFmpegError, OSError) as error:
        end.send(BenchError(f"{task.clip}: {getattr(error, 'strerror', None) or type(error).__name__}"))


def _in_processes(task: Task, counts: Sequence[int], threads: int) -> list[_Share]:
    fresh = multiprocessing.get_context("spawn")
    ends: list[Connection] = []
    children = []
    try:
        for count in counts:
            mine, theirs = fresh.Pipe()
            children.append(fresh.Process(target=_child, args=(theirs, task, count, threads), daemon=True))
            children[-1].start()
            # Otherwise the death of a child would go unnoticed.
            theirs.close()
            ends.append(mine)
        for end in ends:
            answer_of(end, _START_TIMEOUT_S)
        for end in ends:
            end.send("go")
        return [answer_of(end, _PATIENCE_S) for end in ends]
    finally:
        for child in children:
            child.terminate()
            child.join()
        for end in ends:
            end.close()
