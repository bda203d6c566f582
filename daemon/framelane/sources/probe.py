"""Opens a stream for a few seconds and reports what is in it."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framelane.config.sections.stream import StreamConfig
from framelane.core.clock import Clock, SystemClock
from framelane.core.errors import SourceError
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.ffmpeg.hangup import hang_up
from framelane.sources.http.opening import HttpOpener
from framelane.sources.interfaces.source import kind_of
from framelane.sources.network.certificates import UNVERIFIED, is_unverified
from framelane.sources.network.ffmpeg_errors import NO_VIDEO
from framelane.sources.notes import later_notes, remarks
from framelane.sources.reader_choice import ReaderChoice
from framelane.sources.rtsp.source import RtspSource, reads_itself
from framelane.sources.rtsp.standalone import StandaloneCamera
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from av import VideoFrame

    from framelane.sources.http.opening import HttpSource
    from framelane.sources.interfaces.source import Decoded

_LOOK_S = 0.5
_MOST_TIMES = 10_000
_LEAST_FRAMES = 8
_MOST_RATE_ERROR = 0.1


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a few seconds of a stream showed.

    Attributes:
        codec: FFmpeg's name, such as "h264" or "av1".
        width: in pixels.
        height: in pixels.
        pixel_format: FFmpeg's name.
        declared_fps: the rate that the stream declares; None if it declares none.
        measured_fps: frames decoded per second of the stream's own time, or of ours if it has none or its
            time does not advance as pictures arrive.
        clock: where capture times would come from: "rtcp", "playlist", "receive" or "media".
        clock_offset_ms: the camera's clock minus ours; None without a camera clock.
        first_frame_s: from opening to the first decoded frame.
        frames: frames decoded.
        packets: video packets read.
        undecodable: frames that could not be decoded.
        transport: "tcp" or "udp" for RTSP; else None.
        reader: "framelane" or "ffmpeg".
        hints: notes and advice.
    """

    codec: str
    width: int
    height: int
    pixel_format: str
    declared_fps: float | None
    measured_fps: float
    clock: str
    clock_offset_ms: float | None
    first_frame_s: float
    frames: int
    packets: int
    undecodable: int
    transport: str | None
    reader: str
    hints: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


def probe_stream(
    url: str, seconds: float, transport: str = "tcp", clock: Clock | None = None, video: int | None = None
) -> ProbeReport:
    """Read a stream as `run` does, for `seconds` from its first frame on, or until no more video comes.

    Args:
        url: camera, file or device.
        seconds: how long to read.
        transport: for RTSP.
        clock: the source of time.
        video: index of the video to read, from 0; None for the largest.

    Raises:
        SourceError: the stream can't be opened, or no frame of it can be decoded.
    """
    asked = {"id": "probe", "url": url, "transport": transport, "video": video}
    return probe_source(StreamConfig.model_validate(asked), seconds, clock or SystemClock())


def probe_source(
    options: StreamConfig,
    seconds: float,
    clock: Clock,
    stopping: threading.Event | None = None,
    first: Callable[[VideoFrame], None] = lambda _picture: None,
) -> ProbeReport:
    """Read a stream as `probe_stream` does, with all its options.

    Args:
        options: the stream.
        seconds: how long to read.
        clock: the source of time.
        stopping: once set, opening and reading end as soon as the reader allows.
        first: called with the first frame.

    Raises:
        SourceError: the stream can't be opened, or no frame of it can be decoded; with reason `closed` if it
            was stopped before.
    """
    stopping = stopping or threading.Event()
    meter = StreamMeter("probe")
    opened_s = clock.monotonic()
    url = options.url.get_secret_value()
    choice = ReaderChoice(clock, own=reads_itself(url, options))
    with (
        choice.open(
            lambda: StandaloneCamera(url, options, clock, meter, stopping),
            lambda: _open(options, clock, meter, stopping),
        ) as opened,
        _hanging_up(opened, options.read_timeout_s, clock, stopping) as silent,
    ):
        seen = _Seen(clock)
        try:
            for decoded in opened.pictures():
                if not seen.frames:
                    first(decoded.picture)
                seen.add(decoded)
                if seen.last_s - seen.first_s >= seconds or stopping.is_set():
                    break
        except SourceError as fault:
            cut = silent.is_set() or stopping.is_set()
            if not cut and (fault.reason != "timeout" or seen.newest is None):
                raise
        if seen.newest is None:
            raise _nothing_seen(stopped=stopping.is_set(), silent=silent.is_set())
        source = opened.source if isinstance(opened, StandaloneCamera) else opened
        hints = [*remarks(source, choice.why).values(), *later_notes(source).values()]
        if is_unverified(url, options):
            hints.append(UNVERIFIED)
        via = options.transport if kind_of(url) == "rtsp" else None
        return _report(source, seen, meter, seen.first_s - opened_s, _Way(via, tuple(hints)))


def _nothing_seen(*, stopped: bool, silent: bool) -> SourceError:
    if stopped:
        return SourceError("closed", "the probe was stopped before a frame came")
    if silent:
        return SourceError("timeout", NO_VIDEO)
    return SourceError("undecodable", "the stream ended before any frame could be decoded")


def _open(options: StreamConfig, clock: Clock, meter: StreamMeter, stopping: threading.Event) -> HttpSource:
    url = options.url.get_secret_value()
    if kind_of(url) != "http":
        return ContainerSource(url, options, SourceParts(clock, meter, stopping=stopping))
    return HttpOpener(options, SourceParts(clock, meter, stopping=stopping), lambda _unchanged: None).open()


@contextmanager
def _hanging_up(
    source: HttpSource | StandaloneCamera, silence_s: float, clock: Clock, stopping: threading.Event
) -> Iterator[threading.Event]:
    """Within the block, disconnect a camera that FFmpeg would read forever: without video, or once stopped."""
    over, silent = threading.Event(), threading.Event()
    reader = threading.get_native_id()

    def look(source: ContainerSource) -> None:
        while not over.wait(_LOOK_S):
            if source.kind == "rtsp" and clock.monotonic() - source.heard_s > silence_s:
                silent.set()
            if silent.is_set() or stopping.is_set():
                hang_up(reader)

    if isinstance(source, ContainerSource) and source.kind in ("rtsp", "http"):
        threading.Thread(target=look, args=(source,), name="probe-watch", daemon=True).start()
    try:
        yield silent
    finally:
        over.set()


class _Seen:
    """The decoded frames: when they came, their time stamps, and the newest one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.frames = 0
        self.first_s = self.last_s = 0.0
        self._times: deque[tuple[float, float | None]] = deque(maxlen=_MOST_TIMES)
        self.newest: Decoded | None = None

    def add(self, decoded: Decoded) -> None:
        self.last_s = self._clock.monotonic()
        if not self.frames:
            self.first_s = self.last_s
        self.frames += 1
        self._times.append((self.last_s, decoded.pts_s))
        self.newest = decoded

    def fps(self, *, paced: bool) -> float:
        """Return the frame rate of the second half.

        Servers begin with buffered pictures, and time stamps settle.

        Args:
            paced: whether frames come one by one, so that their arrival times show the rate.
        """
        times = list(self._times)
        middle_s = (self.first_s + self.last_s) / 2
        half = [each for each in times if each[0] >= middle_s]
        if not paced or len(half) < _LEAST_FRAMES:
            half = times
        came = _rate([came_s for came_s, _ in half])
        own = _rate([pts_s for _, pts_s in half if pts_s is not None])
        return came if not own or (paced and abs(own - came) > _MOST_RATE_ERROR * came) else own


def _rate(times_s: Sequence[float]) -> float:
    """Return the rate per second; 0 if unknown."""
    span_s = times_s[-1] - times_s[0] if times_s else 0.0
    return (len(times_s) - 1) / span_s if span_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Way:
    """How a stream was received."""

    transport: str | None
    hints: tuple[str, ...]


def _report(
    source: HttpSource | RtspSource, seen: _Seen, meter: StreamMeter, first_frame_s: float, way: _Way
) -> ProbeReport:
    newest = seen.newest
    assert newest is not None  # noqa: S101 - the caller has seen a frame
    picture, arrival, offset_s = newest.picture, newest.arrival, source.camera_offset_s
    paced = isinstance(source, RtspSource) or source.paced
    return ProbeReport(
        codec=source.info.codec,
        width=picture.width,
        height=picture.height,
        pixel_format=picture.format.name,
        declared_fps=source.info.fps,
        measured_fps=round(seen.fps(paced=paced), 2),
        clock="media" if arrival is None else arrival.clock,
        clock_offset_ms=None if offset_s is None else round(offset_s * 1e3, 1),
        first_frame_s=round(first_frame_s, 3),
        frames=seen.frames,
        packets=meter.snapshot().received,
        undecodable=sum(meter.snapshot().dropped.values()),
        transport=way.transport,
        reader="ffmpeg" if isinstance(source, ContainerSource) else "framelane",
        hints=way.hints,
    )


def render(report: ProbeReport) -> str:
    """Return the report as text: one fact per line, then the hints."""
    facts = report.as_dict()
    hints = facts.pop("hints")
    lines = [f"{name.replace('_', ' '):<16} {value}" for name, value in facts.items()]
    return "\n".join([*lines, *(f"{'hint':<16} {hint}" for hint in hints)])
