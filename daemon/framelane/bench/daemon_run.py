"""One run of the daemon among its neighbours, measured from outside: by its subscriber and by its process."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from framelane.bench.errors import BenchError
from framelane.bench.figures import Percentiles, bunching, slowest_to_fastest
from framelane.bench.ledger import Received
from framelane.bench.process import peak_rss_mb
from framelane.bench.spans import Span
from framelane.bench.steady import Steadiness
from framelane.bench.taken import cpu_times, taken_between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.bench.neighbours import Subscriber
    from framelane.bench.process import Child
    from framelane.bench.taken import Taken

_SAMPLE_S = 0.5
_STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Edges:
    """Start and stop, in seconds.

    Attributes:
        first_s: from the process's start until a stream delivered.
        live_s: until all did.
        steady_s: until the rate was what is wanted; None where it never was.
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
        fps: results that arrived a second, all streams together; every inferred frame is a result.
        streams_fps: the same by stream.
        slowest_to_fastest: of these.
        dropped: frames that the messages say were skipped.
        reasons: the same by reason, from statistics that came in the window, whose edges differ by some seconds.
        missing: results lost on the way, those that may still come out of the spool included.
        late: results that came out of their turn, out of the spool.
        arrival_ms: from capture to arrival at the subscriber.
        publish_ms: from capture to publish, as the daemon says.
        rtcp_share: share of results whose capture time is the camera's own.
        decoders: streams by what decodes them.
        bunching: how much the streams' frames come at the same moments, 0 to 1; None where the rate is not known.
        cpu_cores: CPU of the daemon, in cores.
        cpu_ms_a_frame: CPU of the daemon a result.
        rss_mb: most that a sample every half second saw.
        peak_rss_mb: most since its start, as the kernel says.
        neighbours_cores: CPU of the other processes, in cores, by name.
        taken: what interrupts and the hypervisor took of the CPUs meanwhile.
        edges: how long start and stop took.
        rss_first_mb: memory at the begin of the window.
        rss_last_mb: at its end.
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
        """All figures, for JSON."""
        return asdict(self)


def _see_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Window:
    """How long to wait for what: streams that must be live, a warm-up, a steady rate, then the measurement.

    Attributes:
        fps: frames a second of each stream, where all have the same; else 0.
        look: called twice a second of the measurement.
        rate: results a second that are wanted, all streams together; 0 where none is.
        steady_s: for so long it must have held before the measurement.
        most_s: from the end of the warm-up; then it begins all the same.
        span_s: length of the parts in which the measurement is told too.
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
        BenchError: it doesn't start, a stream doesn't deliver, or it doesn't end with exit code 0.
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
    """Wait until the rate is what is wanted; False where it isn't in time, or none is wanted."""
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
    """Measure a daemon that runs.

    Raises:
        BenchError: it ends, or nothing arrives.
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
    """Let the window pass; returns the most memory that was seen, and what came in each span."""
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
    """When the next span ends; the last one may be up to half as long again."""
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
    """The figures of a window.

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
