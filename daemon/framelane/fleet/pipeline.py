"""The pipeline of several worker processes, each with a share of the streams."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.config.explain.differences import disabled_streams, stream_changes
from framelane.config.second_models import firsts_first, used_models
from framelane.core.errors import ConfigError, ConflictError
from framelane.core.log_tail import TAIL
from framelane.fleet.aggregate import Aggregate
from framelane.fleet.fresh_counts import FreshCounts
from framelane.fleet.image_detector import FleetDetector
from framelane.fleet.media_relay import MediaRelay
from framelane.fleet.process import COMMAND
from framelane.fleet.share import deal
from framelane.fleet.stream_states import StreamStates
from framelane.fleet.supervisor import Supervisor, SupervisorTimeouts
from framelane.models.heads.class_filter import unknown_labels

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from prometheus_client.registry import Collector

    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config
    from framelane.core.clock import Clock
    from framelane.core.errors import FramelaneError
    from framelane.core.events import Event, Occupancy
    from framelane.core.frames import ModelInfo
    from framelane.fleet.protocol import Happened, Snapshot, Started
    from framelane.fleet.share import Share
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import ProcessSample
    from framelane.telemetry.status import StatusBoard

log = structlog.get_logger(__name__)

_LOOK_S = 0.2


class FleetEvents(Protocol):
    """Takes what happens to the objects of all workers, such as `EventJournal`; called from any thread."""

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        """Take what has happened."""
        ...

    def lost(self, events: int) -> None:
        """Count events that a worker had to drop."""
        ...

    def worker_lost(self, streams: Sequence[str]) -> None:
        """Note that a worker ended without a word about the objects of these streams."""
        ...


class FleetPipeline:
    """Divides the streams among worker processes, which publish their own results.

    Args:
        config: a checked configuration.
        shares: the streams of each worker.
        board: receives the states of all streams.
        clock: the clock of all parts.
        events: takes what happens to tracked objects.
        stopping: set when the daemon is to end; ends a slow start.
        models_changed: called when a worker has loaded more models.
        sinks_changed: called when the health of workers' sinks may have changed.
        timeouts: the supervisors' timeouts.
        command: the command line of a worker process.
    """

    def __init__(
        self,
        config: Config,
        shares: Sequence[Share],
        board: StatusBoard,
        clock: Clock,
        events: FleetEvents,
        stopping: threading.Event,
        models_changed: Callable[[], None],
        sinks_changed: Callable[[], None],
        timeouts: SupervisorTimeouts | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.config = config
        self.fatal: FramelaneError | None = None
        self.waiting_s = 0.0
        """Always 0: each worker checks for waiting frames itself."""
        self.supervisors: list[Supervisor] = []
        self.live = MediaRelay()
        self._change = 0
        self._sections: dict[str, ModelConfig] = {}
        self._models: dict[str, ModelInfo] = {}
        self._clock = clock
        self._events = events
        self._stopping = stopping
        self._models_changed = models_changed
        self._sinks_changed = sinks_changed
        self._board = board
        streams = [stream for stream in config.streams if stream.enabled]
        names = [stream.id for stream in streams]
        self._states = StreamStates(board, names, clock)
        for disabled in disabled_streams(config):
            self._states.disable(disabled)
        used = used_models(config)
        models = [key for key in config.models if key in used]
        self.meters = Aggregate([share.streams for share in shares], names, models, self._states.reconnects)
        self.fresh_meters = FreshCounts(self.meters, self.supervisors)
        waits = timeouts or SupervisorTimeouts()
        self.supervisors += [Supervisor(share, config, self, clock, waits, command) for share in shares]
        self.detector = FleetDetector(self.supervisors, self._model_names, config.http.detect.timeout_s)

    def load(self) -> None:
        """Start the workers and wait until the first has loaded its models.

        Raises:
            FramelaneError: a worker can't start or load its models; has the worker's exit code and message.
        """
        for each in self.supervisors:
            each.start()
        self._await(self.supervisors[:1])

    def start(self) -> None:
        """Wait until all workers run, not for their cameras; raises as `load` does."""
        self._await(self.supervisors)

    def prepare(self, config: Config) -> None:
        """Have every running worker prepare for its share of a new configuration.

        Raises:
            ConfigError: a stream asks for labels that its models don't have.
            FramelaneError: a worker can't prepare, or the daemon stops.
        """
        findings = unknown_labels(config, self.labels)
        if findings:
            raise ConfigError(findings)
        self._change += 1
        shares = self._proving(deal(self._shares(), config), config)
        pairs = zip(self.supervisors, shares, strict=True)
        self._wait([each.prepare(self._change, share, config) for each, share in pairs])

    def commit(self, config: Config) -> None:
        """Assign the streams of a new configuration.

        A worker that does not run yet gets its share when it does.
        """
        self._change += 1
        before, after = self._shares(), deal(self._shares(), config)
        for share in after:
            for stream in set(share.streams) - set(before[share.number].streams):
                self._states.add(stream)
                self.meters.open(share.number, stream)
        changes = stream_changes(self.config, config)
        for stream in changes.reopened:
            self._states.renew(stream)
        self.config = config
        pairs = zip(self.supervisors, after, strict=True)
        self._wait([each.assign(self._change, share, config) for each, share in pairs])
        for share in before:
            for stream in set(share.streams) - set(after[share.number].streams):
                if stream not in changes.disabled:
                    self._states.remove(stream)
                self.meters.drop(share.number, stream)
        for stream in changes.forgotten:
            self._states.remove(stream)
        for stream in changes.disabled:
            self._states.disable(stream)

    def retry(self) -> None:
        """Have every worker retry now the cameras that refused a login."""
        for each in self.supervisors:
            each.retry_logins()

    def stop(self, timeout_s: float) -> None:
        """Have the workers drain and end; kill those that take longer than `timeout_s`."""
        deadline_s = self._clock.monotonic() + timeout_s
        self.detector.close()
        for each in self.supervisors:
            each.finish(timeout_s)
        for each in self.supervisors:
            each.join(max(deadline_s - self._clock.monotonic(), 0.0))
        self.live.stop(0.0)

    def look(self) -> None:
        """Do nothing: each worker looks after its own streams."""

    def trim_heap(self) -> None:
        """Do nothing: each worker trims its own heap."""

    @property
    def ended(self) -> bool:
        """Whether there are enabled streams and all have been played to their end."""
        states = [state for state in self._board.streams() if not state.disabled]
        return bool(states) and all(state.ended for state in states)

    @property
    def loaded(self) -> Mapping[str, ModelConfig]:
        """The configuration section that each model was loaded with, by key."""
        return dict(self._sections)

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The class names of each model that any worker has loaded, by key."""
        # Iterate over a copy, because supervisors' threads add models.
        return {name: model.labels for name, model in dict(self._models).items()}

    @property
    def models(self) -> list[ModelInfo]:
        """All models that any worker has loaded."""
        return list(self._models.values())

    @property
    def gpus(self) -> Sequence[int]:
        """The GPUs of the workers."""
        return sorted({share.gpu for share in self._shares() if share.gpu is not None})

    @property
    def threads(self) -> Mapping[str, bool]:
        """Whether each supervisor's thread runs. Workers don't count: their supervisors restart them."""
        return {each.name: each.alive for each in self.supervisors if not each.idle}

    @property
    def liveness_reasons(self) -> Sequence[str]:
        """Why workers judge themselves not alive."""
        return [
            f"worker {each.share.name}: {reason}"
            for each in self.supervisors
            for reason in self.meters.liveness_reasons(each.share.number)
        ]

    @property
    def missing(self) -> Sequence[str]:
        """The workers that should run but don't, in sentences."""
        return [
            f"worker {each.share.name} is not running"
            for each in self.supervisors
            if not (each.up or each.idle)
        ]

    def used(self) -> ProcessSample:
        """Return memory and CPU of this process and all workers."""
        return self.meters.used()

    def sinks(self, name: str) -> Sequence[SinkHealth]:
        """Return the health of the workers' sinks; an idle worker's sink counts as connected."""
        idle = {each.share.number for each in self.supervisors if each.idle}
        sinks = self.meters.sinks(name).items()
        return [replace(sink, connected=True) if number in idle else sink for number, sink in sinks]

    def busy(self) -> Collection[str]:
        """Return the names of workers that run or should.

        The parent delivers from the spools of all others.
        """
        return {share.name for share in self._shares() if share.streams or share.standby}

    def collectors(self) -> Sequence[Collector]:
        """Return the collectors of worker metrics."""
        from framelane.fleet.metrics import WorkerCollector  # noqa: PLC0415 - a node without HTTP has no use for it

        return [WorkerCollector(self.supervisors, self.meters)]

    def linked(self, media: socket.socket) -> None:
        """See SupervisorEvents."""
        self.live.attach(media)

    def started(self, share: Share, message: Started) -> None:
        """See SupervisorEvents."""
        log.info("worker_up", worker=share.name, run=message.run, streams=len(share.streams), gpu=share.gpu)

    def models_loaded(self, models: Iterable[ModelInfo], config: Config) -> None:
        """See SupervisorEvents."""
        fresh = {model.name: model for model in models if model.name not in self._models}
        self._sections |= {name: config.models[name] for name in fresh}
        self._models |= fresh
        self.meters.add_models(self._models)
        if fresh and not self._stopping.is_set():
            self._models_changed()

    def changed(self, state: StreamState) -> None:
        """See SupervisorEvents."""
        self._states.changed(state)

    def happened(self, message: Happened) -> None:
        """See SupervisorEvents."""
        self._events.take(message.happenings)
        if message.lost:
            self._events.lost(message.lost)

    def reported(self, share: Share, snapshot: Snapshot) -> None:
        """See SupervisorEvents."""
        self.meters.update(share.number, snapshot)
        TAIL.extend(snapshot.log)
        self._states.frames_seen(snapshot.last_frames)
        self._sinks_changed()

    def ended_worker(self, share: Share, text: str | None) -> None:
        """See SupervisorEvents."""
        self.meters.close(share.number)
        if text is not None:
            self._states.worker_ended(share.streams, text)
            self._events.worker_lost(share.streams)
        self._sinks_changed()

    def played(self, share: Share) -> Collection[str]:
        """See SupervisorEvents."""
        return self._states.ended(share.streams)

    def gave_up(self, error: FramelaneError) -> None:
        """See SupervisorEvents."""
        self.fatal = self.fatal or error

    def _proving(self, shares: list[Share], config: Config) -> list[Share]:
        """Add streams with models that no worker has loaded to a running worker's share.

        A worker that does not run can't refuse a model that fails to load.
        """
        untried = [
            stream.id for stream in config.streams if not set(stream.model_keys) <= self._models.keys()
        ]
        for number, supervisor in enumerate(self.supervisors):
            if supervisor.up:
                shares[number] = replace(shares[number], streams=(*shares[number].streams, *untried))
                break
        return shares

    def _model_names(self) -> list[str]:
        return [key for key in firsts_first(self.config.models) if key in self._models]

    def _shares(self) -> list[Share]:
        return [each.share for each in self.supervisors]

    def _wait(self, answers: Sequence[Future[None]]) -> None:
        """Wait for workers' answers; raise the first error, or ConflictError if the daemon stops."""
        while wait(answers, _LOOK_S).not_done:
            if self._stopping.is_set():
                raise ConflictError("the daemon stops")
        for answer in answers:
            answer.result()

    def _await(self, supervisors: Sequence[Supervisor]) -> None:
        """Wait until each of these workers has started once, or the daemon is to end."""
        for each in supervisors:
            while not each.settled.wait(_LOOK_S) and not self._stopping.is_set() and self.fatal is None:
                pass
        if self.fatal is not None:
            raise self.fatal
