"""All workers' figures as one: counts that never fall, memory and CPU, and how the sinks fare."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from framelane.fleet.sinks import sum_counts
from framelane.fleet.totals import continued, together
from framelane.telemetry.meters import Counts, ModelMeter, StreamMeter
from framelane.telemetry.stats import ProcessSample, sample_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from framelane.fleet.link import Snapshot
    from framelane.sinks.sink import SinkHealth


class Ledger:
    """The newest snapshot of each worker, on top of what those before it came to; thread-safe.

    Args:
        accounts: the workers' streams, worker by worker.
        streams: all streams, in the order of the file.
        models: names of all models in use.
        reconnects: counts a stream's, which workers can't do beyond their own start.
    """

    def __init__(
        self,
        accounts: Sequence[Iterable[str]],
        streams: Iterable[str],
        models: Iterable[str],
        reconnects: Callable[[str], int],
    ) -> None:
        self._streams = list(streams)
        self._models = list(models)
        self._accounts = [_Account(own, self._models) for own in accounts]
        self._reconnects = reconnects
        self._lock = threading.Condition()

    def open(self, worker: int, stream: str) -> None:
        """A stream comes, to be counted by this worker."""
        with self._lock:
            self._accounts[worker].open(stream)
            self._streams.append(stream)

    def drop(self, worker: int, stream: str) -> None:
        """A stream has left this worker: it leaves all statistics."""
        with self._lock:
            self._accounts[worker].drop(stream)
            self._streams.remove(stream)

    def know(self, models: Iterable[str]) -> None:
        """Models that workers have loaded since."""
        with self._lock:
            for model in models:
                if model not in self._models:
                    self._models.append(model)
                    for account in self._accounts:
                        account.know(model)

    def take(self, worker: int, snapshot: Snapshot) -> None:
        """How a worker stands now."""
        with self._lock:
            self._accounts[worker].take(snapshot)
            self._lock.notify_all()

    def close(self, worker: int) -> None:
        """The worker has ended; what it counted remains, and its next start counts on."""
        with self._lock:
            self._accounts[worker].close()

    def snapshot(self) -> Counts:
        """All counts, each as of its worker's newest snapshot."""
        with self._lock:
            found = {name: counts for account in self._accounts for name, counts in account.streams.items()}
            names = list(self._streams)
            per_model = {name: [account.models[name] for account in self._accounts] for name in self._models}
        streams = {name: replace(found[name], reconnects=self._reconnects(name)) for name in names}
        models = {}
        for name, (first, *others) in per_model.items():
            models[name] = first
            for other in others:
                models[name] = together(models[name], other)
        return Counts(streams, models)

    def wait_fresh(self, ask: Mapping[int, Callable[[], None]], timeout_s: float) -> None:
        """Ask workers (by number) for a snapshot, and wait for these, at most so long."""
        with self._lock:
            seen = {worker: self._accounts[worker].taken for worker in ask}
        for each in ask.values():
            each()
        with self._lock:
            self._lock.wait_for(
                lambda: all(self._accounts[worker].taken > count for worker, count in seen.items()), timeout_s
            )

    def used(self) -> ProcessSample:
        """Memory and CPU of the parent and all workers, those that have ended included."""
        own = sample_process()
        with self._lock:
            return ProcessSample(
                own.rss_bytes + sum(account.rss_bytes for account in self._accounts),
                own.cpu_s + sum(account.cpu_s for account in self._accounts),
            )

    def rss_bytes(self, worker: int) -> int:
        """Resident memory of a worker; 0 while it is away."""
        with self._lock:
            return self._accounts[worker].rss_bytes

    def sinks(self, name: str) -> dict[int, SinkHealth]:
        """How the workers' sinks of this name fare, by worker; delivered and dropped count all starts."""
        with self._lock:
            accounts = enumerate(self._accounts)
            return {number: account.sinks[name] for number, account in accounts if name in account.sinks}

    def ailments(self, worker: int) -> tuple[str, ...]:
        """What the worker's own liveness verdict holds against it."""
        with self._lock:
            return self._accounts[worker].ailments


class _Account:
    """One worker's figures, over all its starts."""

    def __init__(self, streams: Iterable[str], models: Iterable[str]) -> None:
        # Fresh meters for their `born`, which tells streams of different workers apart.
        self.streams = {stream: StreamMeter(stream).snapshot() for stream in streams}
        self.models = {model: ModelMeter(model).snapshot() for model in models}
        self.sinks: dict[str, SinkHealth] = {}
        self.ailments: tuple[str, ...] = ()
        self.rss_bytes = 0
        self.cpu_s = 0.0
        self.taken = 0
        self._cpu_before_s = 0.0
        self._streams_before = dict(self.streams)
        self._models_before = dict(self.models)
        self._sinks_before: dict[str, SinkHealth] = {}

    def open(self, stream: str) -> None:
        self.streams[stream] = self._streams_before[stream] = StreamMeter(stream).snapshot()

    def drop(self, stream: str) -> None:
        del self.streams[stream], self._streams_before[stream]

    def know(self, model: str) -> None:
        self.models[model] = self._models_before[model] = ModelMeter(model).snapshot()

    def take(self, snapshot: Snapshot) -> None:
        """A worker may know of a stream or a model a moment before or after we do."""
        self.taken += 1
        for name, counts in snapshot.counts.streams.items():
            if name in self.streams:
                self.streams[name] = continued(self._streams_before[name], counts)
        for name, model in snapshot.counts.models.items():
            if name in self.models:
                self.models[name] = together(self._models_before[name], model)
        for sink in snapshot.sinks:
            self.sinks[sink.name] = _counted_on(self._sinks_before.get(sink.name), sink)
        self.ailments = snapshot.ailments
        self.rss_bytes = snapshot.used.rss_bytes
        self.cpu_s = self._cpu_before_s + snapshot.used.cpu_s

    def close(self) -> None:
        self._streams_before = dict(self.streams)
        self.models = {name: replace(counts, slots=0) for name, counts in self.models.items()}
        self._models_before = dict(self.models)
        self.sinks = {name: _without_process(sink) for name, sink in self.sinks.items()}
        self._sinks_before = dict(self.sinks)
        self._cpu_before_s = self.cpu_s
        self.ailments, self.rss_bytes = (), 0


def _counted_on(before: SinkHealth | None, now: SinkHealth) -> SinkHealth:
    if before is None:
        return now
    return replace(
        now,
        delivered=before.delivered + now.delivered,
        dropped=before.dropped + now.dropped,
        dropped_by=sum_counts((before.dropped_by, now.dropped_by)),
    )


def _without_process(sink: SinkHealth) -> SinkHealth:
    """What waited in its memory went with the process, and so did its session; what is on disk is there."""
    kept = 0 if sink.spool is None else min(sink.spool.messages, sink.queued)
    lost = sink.queued - kept
    return replace(
        sink,
        connected=False,
        queued=kept,
        dropped=sink.dropped + lost,
        last_error=None,
        full=False,
        dropped_by=sum_counts((sink.dropped_by, {"stopped": lost})),
        spool=None if sink.spool is None else replace(sink.spool, trouble=None, full=False),
    )
