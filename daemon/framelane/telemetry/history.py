"""Remembers the last minutes of each stream: figures for plots, and changes of state with their reasons."""

from __future__ import annotations

import sys
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

from framelane.telemetry.objects import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from framelane.core.clock import Clock
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import NodeStats, StreamStats

SPAN_S = 900.0
_MOST_SAMPLES = 900
_MOST_CHANGES = 50
_MOST_LABELS = 5
"""Labels that a sample keeps, so that a model with a thousand of them takes no more memory."""


class Sample(NamedTuple):
    """One stream's figures over one window of statistics.

    Attributes:
        at: Unix time of the window's end.
        fps_in: pictures received per second.
        fps_inferred: frames inferred per second.
        dropped_per_s: frames dropped per second, for all reasons.
        p50_ms: median latency from capture to publish; None without a result.
        p95_ms: its 95th percentile.
        objects: the most frequent labels, each followed by its mean number of objects per frame, and OTHER for
            all others; None without a result.
    """

    at: float
    fps_in: float
    fps_inferred: float
    dropped_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    objects: tuple[str | float, ...] | None = None


class Change(NamedTuple):
    """A stream's new state or reason, at a Unix time."""

    at: float
    state: str
    reason: str
    text: str


class History:
    """The recent past of all streams. Thread-safe, and bounded in time and number.

    Args:
        clock: the source of time.
        every_s: seconds between two windows of statistics.
    """

    def __init__(self, clock: Clock, every_s: float) -> None:
        self._clock = clock
        self._most = max(min(round(SPAN_S / every_s), _MOST_SAMPLES), 1)
        self._samples: dict[str, deque[Sample]] = {}
        self._changes: dict[str, deque[Change]] = {}
        self._lock = threading.Lock()

    def note(self, stats: NodeStats) -> None:
        """Add a window of statistics, and forget streams that are gone."""
        at = self._clock.wall()
        with self._lock:
            for stream in stats.streams:
                samples = self._samples.setdefault(stream.stream, deque(maxlen=self._most))
                samples.append(_sample(at, stream))
            for gone in self._samples.keys() - {stream.stream for stream in stats.streams}:
                del self._samples[gone]

    def changed(self, state: StreamState) -> None:
        """Add a stream's new state, unless only its details are new."""
        change = Change(self._clock.wall(), state.state, state.reason, state.text)
        with self._lock:
            changes = self._changes.setdefault(state.stream, deque(maxlen=_MOST_CHANGES))
            if not changes or changes[-1][1:3] != change[1:3]:
                changes.append(change)

    def removed(self, stream: str) -> None:
        """Forget a stream."""
        with self._lock:
            self._samples.pop(stream, None)
            self._changes.pop(stream, None)

    def of(self, stream: str) -> tuple[Sequence[Sample], Sequence[Change]]:
        """Return a stream's figures and changes, the oldest first; empty for an unknown one."""
        with self._lock:
            return [*self._samples.get(stream, ())], [*self._changes.get(stream, ())]


def _sample(at: float, stream: StreamStats) -> Sample:
    latency = stream.latency_ms
    return Sample(
        at,
        stream.fps_in,
        stream.fps_inferred,
        sum(stream.dropped.values()) / stream.window_s,
        None if latency is None else latency.p50,
        None if latency is None else latency.p95,
        None if stream.objects is None else _most_frequent(stream.objects),
    )


def objects_of(samples: Sequence[Sample]) -> dict[str, list[float | None]]:
    """Return the number of objects per frame in each sample, None without a result, by label.

    The most frequent labels of all samples come first, then OTHER if there are more.
    """
    found = [None if each.objects is None else dict(_pairs(each.objects)) for each in samples]
    sums: Counter[str] = Counter()
    for each in found:
        sums.update(each or {})
    other = sums.pop(OTHER, 0)
    names = [label for label, _ in sums.most_common(_MOST_LABELS)]
    series: dict[str, list[float | None]] = {
        label: [None if each is None else each.get(label, 0.0) for each in found] for label in names
    }
    if other or len(sums) > len(names):
        series[OTHER] = [
            None if each is None else sum(count for label, count in each.items() if label not in names)
            for each in found
        ]
    return series


def _most_frequent(objects: Mapping[str, float]) -> tuple[str | float, ...]:
    named = sorted(((count, label) for label, count in objects.items() if label != OTHER), reverse=True)
    # A label that came from a worker process is another string each time.
    flat = [part for count, label in named[:_MOST_LABELS] for part in (sys.intern(label), count)]
    rest = objects.get(OTHER, 0.0) + sum(count for count, _ in named[_MOST_LABELS:])
    return (*flat, OTHER, rest) if rest else tuple(flat)


def _pairs(flat: tuple[str | float, ...]) -> Iterator[tuple[str, float]]:
    return zip(flat[::2], flat[1::2], strict=True)  # type: ignore[arg-type] # labels and numbers in turn
