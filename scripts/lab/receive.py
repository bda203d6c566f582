"""Measure CPU per received picture of live cameras, without decoding, by our RTSP reader and by FFmpeg."""

from __future__ import annotations

import resource
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import av

from framelane.config.sections.stream import StreamOptions
from framelane.core.clock import SystemClock
from framelane.measure.errors import BenchError
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.rtsp.reactor import Reactor
from framelane.sources.rtsp.source import RtspSource
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from framelane.sources.interfaces.units import Unit

Way = Literal["ours", "ffmpeg"]

_FIRST_PICTURES = 30
"""Pictures of each camera before measuring, because opening costs more than reading."""
_OPEN_TIMEOUT_S = 60.0
_READ_TIMEOUT_S = 10.0
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Received:
    """What one process received from all cameras.

    Attributes:
        pictures: pictures, complete or not.
        seconds: length of the measurement.
        cpu_s: CPU time of the process meanwhile.
        waits: how often its threads waited.
        threads: number of threads at the end.
    """

    pictures: int
    seconds: float
    cpu_s: float
    waits: int
    threads: int

    @property
    def cpu_ms(self) -> float:
        """Return CPU time per picture, in milliseconds."""
        return self.cpu_s * 1000 / self.pictures


def receive(
    way: Way, urls: Sequence[str], seconds: float, transport: Literal["tcp", "udp"] = "tcp"
) -> Received:
    """Read cameras in this process for `seconds`, once all of them have sent some pictures.

    Raises:
        BenchError: a camera sends none.
        SourceError: our reader can't open one.
    """
    counts = [0] * len(urls)
    with _WAYS[way](urls, counts, transport):
        deadline_s = time.monotonic() + _OPEN_TIMEOUT_S
        while min(counts) < _FIRST_PICTURES:
            if time.monotonic() > deadline_s:
                raise BenchError(
                    f"camera {counts.index(min(counts))} has sent {min(counts)} pictures in a minute"
                )
            time.sleep(_LOOK_S)
        before, began_s, began = sum(counts), time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        time.sleep(seconds)
        after, ended_s, ended = sum(counts), time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        threads = threading.active_count()
    return Received(
        pictures=after - before,
        seconds=ended_s - began_s,
        cpu_s=ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime,
        waits=ended.ru_nvcsw - began.ru_nvcsw,
        threads=threads,
    )


def _ours(urls: Sequence[str], counts: list[int], transport: str) -> AbstractContextManager[object]:
    """Read all cameras as the daemon does: one reactor, access units with key frames and arrivals."""
    stack, clock = ExitStack(), SystemClock()
    options = StreamOptions.model_validate({"transport": transport, "open_timeout_s": _READ_TIMEOUT_S})

    def counter(number: int) -> Callable[[Unit], bool]:
        def put(_unit: Unit) -> bool:
            counts[number] += 1
            return False

        return put

    with stack:
        reactor = Reactor(clock)
        stack.callback(reactor.stop, _READ_TIMEOUT_S)
        for number, url in enumerate(urls):
            source = RtspSource(url, options, SourceParts(clock, StreamMeter("cam")), reactor)
            stack.callback(source.close)
            source.start(counter(number))
        return stack.pop_all()
    raise AssertionError("unreachable")


def _ffmpeg(urls: Sequence[str], counts: list[int], transport: str) -> AbstractContextManager[object]:
    """Read each camera on its own thread with PyAV and FFmpeg's parser."""
    stack, over = ExitStack(), threading.Event()

    def read(number: int, url: str) -> None:
        options = {"rtsp_transport": transport, "allowed_media_types": "video"}
        with av.open(url, options=options, timeout=(_READ_TIMEOUT_S, _READ_TIMEOUT_S)) as source:
            for packet in source.demux(video=0):
                counts[number] += bool(packet.size)
                if over.is_set():
                    return

    for number, url in enumerate(urls):
        thread = threading.Thread(target=read, args=(number, url), daemon=True)
        thread.start()
        stack.callback(thread.join, _READ_TIMEOUT_S)
    stack.callback(over.set)
    return stack


_WAYS: Mapping[Way, Callable[[Sequence[str], list[int], str], AbstractContextManager[object]]] = {
    "ours": _ours,
    "ffmpeg": _ffmpeg,
}
