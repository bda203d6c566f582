"""One run of the daemon, measured from outside: at its subscriber and by its process."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from framelane.measure.errors import BenchError
from framelane.measure.figures import Percentiles, bunching, slowest_to_fastest
from framelane.measure.process import peak_rss_mb
from lab.delivery_record import Received
from lab.spans import Span
from lab.steady import Steadiness
from lab.taken import cpu_times, taken_between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.measure.process import Child
    from lab.neighbors import Subscriber
    from lab.taken import Taken

_SAMPLE_S = 0.5
_STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Edges:
    """Times of start and stop, in seconds.

    Attributes:
        first_s: from the process's start until the first stream delivered.
        live_s: from the process's start until all streams delivered.
        steady_s: until the rate was the wanted one; None if it never was.
        stop_s: from the signal to the end of the process.
    """

    first_s: float
    live_s: float
    steady_s: float | None
    stop_s: float


@dataclass(frozen=True, slots=True)
class DaemonRun:
    """What a daemon did in a window.

    Attributes:
        seconds: length of the window.
        fps: arrived results per second, all streams together; every inferred frame is a result.
        streams_fps: arrived results per second by stream.
        slowest_to_fastest: ratio of the slowest to the fastest stream.
        dropped: skipped frames, according to the messages.
        reasons: drops by reason, from statistics that arrived in the window; their edges differ by some
            seconds.
        missing: lost results, including those that the spool may still deliver.
        late: results that the spool delivered late.
        arrival_ms: from capture to arrival at the subscriber.
        publish_ms: from capture to publish, by the daemon's own figure.
        rtcp_share: share of results whose capture time is the camera's own.
        decoders: streams by decoder.
        bunching: how much the streams' frames coincide, 0 to 1; None if the rate is not known.
        cpu_cores: CPU of the daemon, in cores.
        cpu_ms_a_frame: CPU of the daemon per result.
        rss_mb: largest sample, taken every half second.
        peak_rss_mb: the kernel's high-water mark since the start.
        neighbours_cores: CPU of the other processes, in cores, by name.
        taken: share of the CPUs that interrupts and the hypervisor took meanwhile.
        edges: times of start and stop.
        rss_first_mb: memory at the start of the window.
        rss_last_mb: memory at its end.
        spans: the window in consecutive parts.
    """

    seconds: float
    fps: float
    streams_fps: Mapping[str, float]
    slowest_to_fastest: float | None
    dropped: int
    reasons: Mapping[str, int]
    missing: int
    late: int
    arrival_ms: Percentiles | None
    publish_ms: Percentiles | None
    rtcp_share: float
    decoders: Mapping[str, int]
    bunching: float | None
    cpu_cores: float
    cpu_ms_a_frame: float
    rss_mb: float
    peak_rss_mb: float
    neighbours_cores: Mapping[str, float]
    taken: Taken | None = None
    edges: Edges | None = None
    rss_first_mb: float = 0.0
    rss_last_mb: float = 0.0
    spans: tuple[Span, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return asdict(self)


def _see_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Window:
    """The phases of a measurement: streams live, warm-up, steady rate, then the window.

    Attributes:
        fps: frames per second of each stream if all have the same, else 0.
        look: called twice per second of the measurement.
        rate: wanted results per second, all streams together; 0 for none.
        steady_s: how long the rate must have held before the measurement.
        most_s: longest wait for it after the warm-up; then the measurement starts anyway.
        span_s: length of the spans of the measurement.
    """

    streams: int
    warmup_s: float
    seconds: float
    fps: float = 0.0
    look: Callable[[], None] = _see_nothing
    rate: float = 0.0
    steady_s: float = 5.0
    most_s: float = 20.0
    span_s: float = 5.0


def measure_daemon(
    daemon: Child, subscriber: Subscriber, neighbours: list[Child], window: Window
) -> DaemonRun:
    """Start a daemon, wait until all its streams deliver, measure it, and stop it.

    Raises:
        BenchError: the daemon doesn't start, a stream doesn't deliver, or the exit code isn't 0.
    """
    subscriber.open()
    began_s = time.monotonic()
    with daemon:
        subscriber.wait_for_streams(1, daemon)
        first_s = time.monotonic() - began_s
        subscriber.wait_for_streams(window.streams, daemon)
        live_s = time.monotonic() - began_s
        time.sleep(window.warmup_s)
        steady = wait_until_steady(daemon, subscriber, window)
        steady_s = time.monotonic() - began_s if steady else None
        run = measure_window(daemon, subscriber, neighbours, window)
        asked_s = time.monotonic()
        code = daemon.stop(_STOP_TIMEOUT_S)
    if code:
        raise BenchError(f"the daemon ended with exit code {code}")
    return replace(run, edges=Edges(first_s, live_s, steady_s, time.monotonic() - asked_s))


def wait_until_steady(daemon: Child, subscriber: Subscriber, window: Window) -> bool:
    """Wait until the rate is the wanted one; return False if it isn't in time, or none is wanted."""
    if not window.rate:
        return False
    steadiness = Steadiness(window.rate, window.streams, window.steady_s)
    end_s = time.monotonic() + window.most_s
    while True:
        daemon.usage()
        count = sum(subscriber.frames().values())
        if steadiness.note(time.monotonic(), count):
            return True
        if time.monotonic() >= end_s:
            return False
        time.sleep(_SAMPLE_S)


def measure_window(
    daemon: Child, subscriber: Subscriber, neighbours: list[Child], window: Window
) -> DaemonRun:
    """Measure a running daemon.

    Raises:
        BenchError: the daemon ends, or nothing arrives.
    """
    others = [*neighbours, *subscriber.children]
    before_s = {child.name: child.usage().cpu_s for child in (daemon, *others)}
    times_before = cpu_times()
    began_s = time.monotonic()
    subscriber.open()
    first_mb = daemon.usage().rss_mb
    most_mb, parts, spans = _watch(daemon, subscriber, window)
    received = Received.joined(parts)
    wall_s = time.monotonic() - began_s
    taken = taken_between(times_before, cpu_times())
    cores = {child.name: (child.usage().cpu_s - before_s[child.name]) / wall_s for child in (daemon, *others)}
    peak_mb = peak_rss_mb(daemon.pid)
    run = describe_run(received, max(first_mb, most_mb), peak_mb, cores.pop(daemon.name), cores, window.fps)
    return replace(run, taken=taken, rss_first_mb=first_mb, rss_last_mb=spans[-1].rss_mb, spans=tuple(spans))


def _watch(daemon: Child, subscriber: Subscriber, window: Window) -> tuple[float, list[Received], list[Span]]:
    """Wait for the end of the window; return the most memory, and the results of each span."""
    most_mb, parts, spans = 0.0, [], []
    began_s = time.monotonic()
    due_s = next_due(0.0, window)
    while due_s is not None:
        time.sleep(max(0.0, min(began_s + due_s - time.monotonic(), _SAMPLE_S)))
        rss_mb = daemon.usage().rss_mb
        most_mb = max(most_mb, rss_mb)
        window.look()
        at_s = time.monotonic() - began_s
        if at_s >= due_s:
            parts.append(subscriber.take())
            spans.append(Span.of(parts[-1], at_s, rss_mb))
            due_s = next_due(due_s, window)
    return most_mb, parts, spans


def next_due(due_s: float, window: Window) -> float | None:
    """Return when the next span ends; the last one may be up to half a span longer."""
    if due_s >= window.seconds:
        return None
    next_s = due_s + window.span_s
    return next_s if window.seconds - next_s > window.span_s / 2 else window.seconds


def describe_run(
    received: Received,
    rss_mb: float,
    peak_mb: float,
    cpu_cores: float,
    neighbours_cores: Mapping[str, float],
    stream_fps: float = 0.0,
) -> DaemonRun:
    """Return the figures of a window.

    Raises:
        BenchError: nothing arrived.
    """
    streams = received.streams.values()
    frames = sum(arrivals.frames for arrivals in streams)
    if not frames:
        raise BenchError("no result arrived while measuring; measure for longer")
    fps = {name: arrivals.frames / received.seconds for name, arrivals in sorted(received.streams.items())}
    return DaemonRun(
        seconds=received.seconds,
        fps=frames / received.seconds,
        streams_fps=fps,
        slowest_to_fastest=slowest_to_fastest(list(fps.values())),
        dropped=sum(arrivals.dropped for arrivals in streams),
        reasons={reason: count for reason, count in received.reasons.items() if count},
        missing=sum(arrivals.lost for arrivals in streams),
        late=sum(arrivals.late for arrivals in streams),
        arrival_ms=Percentiles.of_ms([value for arrivals in streams for value in arrivals.arrival_ms]),
        publish_ms=Percentiles.of_ms([value for arrivals in streams for value in arrivals.publish_ms]),
        rtcp_share=received.clocks.get("rtcp", 0) / frames,
        decoders=dict(Counter(received.decoders[name] for name in fps if name in received.decoders)),
        bunching=bunching([each.captured_at for each in streams], 1 / stream_fps) if stream_fps else None,
        cpu_cores=cpu_cores,
        cpu_ms_a_frame=1e3 * cpu_cores * received.seconds / frames,
        rss_mb=rss_mb,
        peak_rss_mb=peak_mb,
        neighbours_cores=neighbours_cores,
    )
