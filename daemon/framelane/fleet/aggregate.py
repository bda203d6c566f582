"""Combines all workers' figures: counts that never fall, memory, CPU and sink health."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from framelane.fleet.shared_sink import sum_counts
from framelane.fleet.totals import continue_counts, sum_models
from framelane.telemetry.meters import Counts, ModelMeter, StreamMeter
from framelane.telemetry.stats import ProcessSample, sample_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from framelane.fleet.protocol import Snapshot
    from framelane.telemetry.sink_health import SinkHealth


class Aggregate:
    """Sums the newest snapshot of each worker with the totals of its earlier processes. Thread-safe.

    Args:
        accounts: each worker's streams.
        streams: all streams, in the order of the configuration.
        models: names of all models in use.
        reconnects: returns a stream's reconnects; workers only know those since their own start.
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
        """Start counting a stream that a worker got."""
        with self._lock:
            self._accounts[worker].open(stream)
            self._streams.append(stream)

    def drop(self, worker: int, stream: str) -> None:
        """Remove a stream that has left a worker from all statistics."""
        with self._lock:
            self._accounts[worker].drop(stream)
            self._streams.remove(stream)

    def add_models(self, models: Iterable[str]) -> None:
        """Start counting models that workers have loaded; known ones are ignored."""
        with self._lock:
            for model in models:
                if model not in self._models:
                    self._models.append(model)
                    for account in self._accounts:
                        account.add_model(model)

    def update(self, worker: int, snapshot: Snapshot) -> None:
        """Take a worker's new snapshot."""
        with self._lock:
            self._accounts[worker].update(snapshot)
            self._lock.notify_all()

    def close(self, worker: int) -> None:
        """Keep the counts of a worker that has ended; its next process continues them."""
        with self._lock:
            self._accounts[worker].close()

    def snapshot(self) -> Counts:
        """Return all counts as of each worker's newest snapshot."""
        with self._lock:
            found = {name: counts for account in self._accounts for name, counts in account.streams.items()}
            names = list(self._streams)
            per_model = {name: [account.models[name] for account in self._accounts] for name in self._models}
        streams = {name: replace(found[name], reconnects=self._reconnects(name)) for name in names}
        models = {}
        for name, (first, *others) in per_model.items():
            models[name] = first
            for other in others:
                models[name] = sum_models(models[name], other)
        return Counts(streams, models)

    def wait_fresh(self, ask: Mapping[int, Callable[[], None]], timeout_s: float) -> None:
        """Ask workers (by number) for a snapshot and wait at most `timeout_s` for all of them."""
        with self._lock:
            seen = {worker: self._accounts[worker].updates for worker in ask}
        for each in ask.values():
            each()
        with self._lock:
            self._lock.wait_for(
                lambda: all(self._accounts[worker].updates > count for worker, count in seen.items()),
                timeout_s,
            )

    def used(self) -> ProcessSample:
        """Return memory and CPU of the parent and all workers; CPU includes ended ones."""
        own = sample_process()
        with self._lock:
            return ProcessSample(
                own.rss_bytes + sum(account.rss_bytes for account in self._accounts),
                own.cpu_s + sum(account.cpu_s for account in self._accounts),
            )

    def rss_bytes(self, worker: int) -> int:
        """Return a worker's resident memory; 0 while it does not run."""
        with self._lock:
            return self._accounts[worker].rss_bytes

    def sinks(self, name: str) -> dict[int, SinkHealth]:
        """Return the health of the workers' sinks of this name, by worker.

        `delivered` and `dropped` include the worker's earlier processes.
        """
        with self._lock:
            accounts = enumerate(self._accounts)
            return {number: account.sinks[name] for number, account in accounts if name in account.sinks}

    def liveness_reasons(self, worker: int) -> tuple[str, ...]:
        """Return the reasons why the worker judges itself not alive."""
        with self._lock:
            return self._accounts[worker].liveness_reasons


class _Account:
    """One worker's figures, over all its processes."""

    def __init__(self, streams: Iterable[str], models: Iterable[str]) -> None:
        # Fresh meters for their `born`, which tells streams of different workers apart.
        self.streams = {stream: StreamMeter(stream).snapshot() for stream in streams}
        self.models = {model: ModelMeter(model).snapshot() for model in models}
        self.sinks: dict[str, SinkHealth] = {}
        self.liveness_reasons: tuple[str, ...] = ()
        self.rss_bytes = 0
        self.cpu_s = 0.0
        self.updates = 0
        self._cpu_before_s = 0.0
        self._streams_before = dict(self.streams)
        self._models_before = dict(self.models)
        self._sinks_before: dict[str, SinkHealth] = {}

    def open(self, stream: str) -> None:
        self.streams[stream] = self._streams_before[stream] = StreamMeter(stream).snapshot()

    def drop(self, stream: str) -> None:
        del self.streams[stream], self._streams_before[stream]

    def add_model(self, model: str) -> None:
        self.models[model] = self._models_before[model] = ModelMeter(model).snapshot()

    def update(self, snapshot: Snapshot) -> None:
        # A worker may add or remove a stream or model a moment before or after us.
        self.updates += 1
        for name, counts in snapshot.counts.streams.items():
            if name in self.streams:
                self.streams[name] = continue_counts(self._streams_before[name], counts)
        for name, model in snapshot.counts.models.items():
            if name in self.models:
                self.models[name] = sum_models(self._models_before[name], model)
        for sink in snapshot.sinks:
            self.sinks[sink.name] = _continue_sink(self._sinks_before.get(sink.name), sink)
            self.liveness_reasons = snapshot.liveness_reasons
        self.rss_bytes = snapshot.used.rss_bytes
        self.cpu_s = self._cpu_before_s + snapshot.used.cpu_s

    def close(self) -> None:
        self._streams_before = dict(self.streams)
        self.models = {name: replace(counts, slots=0, copy_bytes=0) for name, counts in self.models.items()}
        self._models_before = dict(self.models)
        self.sinks = {name: _closed_sink(sink) for name, sink in self.sinks.items()}
        self._sinks_before = dict(self.sinks)
        self._cpu_before_s = self.cpu_s
        self.liveness_reasons, self.rss_bytes = (), 0


def _continue_sink(before: SinkHealth | None, now: SinkHealth) -> SinkHealth:
    if before is None:
        return now
    return replace(
        now,
        delivered=before.delivered + now.delivered,
        dropped=before.dropped + now.dropped,
        dropped_by=sum_counts((before.dropped_by, now.dropped_by)),
    )


def _closed_sink(sink: SinkHealth) -> SinkHealth:
    """Return a sink's health after its process has ended: messages in memory are lost, those on disk kept."""
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
