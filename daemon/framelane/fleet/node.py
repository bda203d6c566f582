"""The parent of several worker processes: to the outside one node, with one status, one /metrics and one log."""

from __future__ import annotations

import os
import secrets
from concurrent.futures import wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from framelane.config.differences import stream_changes
from framelane.core.clock import SystemClock
from framelane.core.errors import ConfigError, ConflictError
from framelane.detector import ElsewhereDetector
from framelane.fleet.fresh import FreshCounts
from framelane.fleet.ledger import Ledger
from framelane.fleet.process import COMMAND
from framelane.fleet.relay import Relay
from framelane.fleet.share import deal, divide
from framelane.fleet.sinks import SharedSink
from framelane.fleet.supervisor import Patience, Supervisor
from framelane.fleet.vitals import FleetVitals
from framelane.gpu.watch import watch_gpus
from framelane.listener import Shown, start_http
from framelane.pool import unknown_labels
from framelane.sinks.homeassistant.announcer import announce_through
from framelane.sinks.jsonl import JsonlSink
from framelane.sinks.mqtt import MqttSink
from framelane.sinks.outlet import Outlet
from framelane.sinks.spool_place import place_of
from framelane.telemetry.report import headline, log_stats
from framelane.telemetry.reporter import Reporter
from framelane.telemetry.stats import StatsWindow
from framelane.telemetry.status import StatusBoard

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from prometheus_client.registry import Collector

    from framelane.config.schema import Config, ModelConfig
    from framelane.core.clock import Clock
    from framelane.core.errors import FramelaneError
    from framelane.core.frames import ModelInfo
    from framelane.fleet.link import Snapshot, Started
    from framelane.fleet.share import Share
    from framelane.sinks.homeassistant.announcer import Announcer
    from framelane.sinks.sink import SinkHealth
    from framelane.telemetry.health import Health
    from framelane.telemetry.states import StreamState
    from framelane.web.server import HttpServer
    from framelane.web.streams import StreamEditor

log = structlog.get_logger(__name__)

_LOOK_S = 0.2
_WORKERS_SHARE = 0.85
"""Of the time that a stop may take, after which workers are killed; longer than they are told to take."""


class _Nobody:
    """Counts no results: the parent publishes none."""

    def result_published(self, stream: str, latency_s: float) -> None:
        """Never called."""

    def result_left_out(self, stream: str, reason: str) -> None:
        """Never called."""


class Fleet:
    """One node whose streams are divided among processes.

    Args:
        config: a checked configuration.
        stopping: set when the daemon is to end; a start that takes long looks at it.
        clock: where every part reads the time.
        patience: how supervisors wait.
        command: what a worker process is started with.
        editor: what answers `/api/streams`; None for no such routes.
    """

    def __init__(
        self,
        config: Config,
        stopping: threading.Event,
        clock: Clock | None = None,
        patience: Patience | None = None,
        command: Sequence[str] = COMMAND,
        editor: StreamEditor | None = None,
    ) -> None:
        self.config = config
        self._editor = editor
        self._change = 0
        self._sections: dict[str, ModelConfig] = {}
        self.clock = clock or SystemClock()
        self.run = secrets.token_hex(4)
        self.fatal: FramelaneError | None = None
        self.http: HttpServer | None = None
        self.models: dict[str, ModelInfo] = {}
        self.supervisors: list[Supervisor] = []
        self._stopping = stopping
        self._announcer: Announcer | None = None
        self._announced = False
        streams = [stream for stream in config.streams if stream.enabled]
        names = [stream.id for stream in streams]
        shares = divide(config)
        self._sinks = self._make_sinks(config)
        self.outlet = Outlet(
            config.node.id,
            self.run,
            lambda _stream: config.publish,
            list(self._sinks.values()),
            meter=_Nobody(),
            clock=self.clock,
        )
        self.board = StatusBoard(
            self.clock, self.outlet.publish_state, self.outlet.publish_status, self.outlet.publish_removed
        )
        self.relay = Relay(self.board, names, self.clock)
        used = {key for stream in streams for key in stream.model_keys}
        models = [key for key in config.models if key in used]
        self.ledger = Ledger([share.streams for share in shares], names, models, self.relay.reconnects)
        self._gpus = watch_gpus(sorted({share.gpu for share in shares if share.gpu is not None}))
        self.meters = FreshCounts(self.ledger, self.supervisors)
        self.window = StatsWindow(self.meters, self.clock, self.ledger.used, self._gpus.sample)
        self.reporter = Reporter(
            self.board,
            self.window,
            None,  # whether frames get on each worker says of itself: of one that is away they can't
            [self.outlet.publish_stats, log_stats],
            config.node.stats_s,
            self.clock,
        )
        self.supervisors += [
            Supervisor(share, config, self, self.clock, patience or Patience(), command) for share in shares
        ]

    def start(self) -> None:
        """Start the workers, wave after wave; returns when all run, while cameras still connect.

        Raises:
            FramelaneError: a worker can't start, with its exit code and message; or no HTTP listener.
        """
        self.http = self._start_http()
        for each in self.supervisors:
            each.start()
        self._start_wave(0)
        self.outlet.start()
        self.reporter.start()
        for wave in (1, 2):
            self._start_wave(wave)
        if self._stopping.is_set():
            return
        self._announce()
        log.info("started", node=self.config.node.id, run=self.run, streams=len(self.board.streams()),
                 workers=len(self.supervisors))  # fmt: skip

    def stop(self, timeout_s: float) -> None:
        """Have the workers drain and end, say goodbye; takes at most `timeout_s` seconds."""
        deadline_s = self.clock.monotonic() + timeout_s
        self.board.stopping("the daemon stops" if self.fatal is None else str(self.fatal))
        for each in self.supervisors:
            each.finish(timeout_s * _WORKERS_SHARE)
        for each in self.supervisors:
            each.join(max(deadline_s - self.clock.monotonic(), 0.0))
        self.reporter.stop(1.0)
        self._gpus.close()
        self.outlet.stop(max(deadline_s - self.clock.monotonic(), 0.0))
        if self.http is not None:
            self.http.stop()
        log.info("stopped", node=self.config.node.id, run=self.run)

    @property
    def ended(self) -> bool:
        """Whether there were streams, and every one has been played to its end."""
        states = self.board.streams()
        return bool(states) and all(state.ended for state in states)

    @property
    def loaded(self) -> Mapping[str, ModelConfig]:
        """What each model that a worker has loaded, by key, was loaded as."""
        return dict(self._sections)

    def prepare(self, config: Config) -> None:
        """Have every worker that is up make ready for its part of other streams.

        Raises:
            ConfigError: a stream asks for labels that its models don't know.
            FramelaneError: a worker can't, or the daemon stops meanwhile.
        """
        findings = unknown_labels(config, self._labels())
        if findings:
            raise ConfigError(findings)
        self._change += 1
        shares = self._proving(deal(self._shares(), config), config)
        pairs = zip(self.supervisors, shares, strict=True)
        self._wait([each.prepare(self._change, share, config) for each, share in pairs])

    def commit(self, config: Config) -> None:
        """Deal other streams out; a worker that is away or just starts gets its part when it is up."""
        self._change += 1
        before, after = self._shares(), deal(self._shares(), config)
        for share in after:
            for stream in set(share.streams) - set(before[share.number].streams):
                self.relay.add(stream)
                self.ledger.open(share.number, stream)
        for changed in stream_changes(self.config, config).changed:
            self.relay.renew(changed.id)
        self.config = config
        pairs = zip(self.supervisors, after, strict=True)
        self._wait([each.assign(self._change, share, config) for each, share in pairs])
        self._announce()
        for share in before:
            for stream in set(share.streams) - set(after[share.number].streams):
                self.relay.remove(stream)
                self.ledger.drop(share.number, stream)

    def retry(self) -> None:
        """Have every worker try again at once what waits for its next login."""
        for each in self.supervisors:
            each.hurry()

    def _proving(self, shares: list[Share], config: Config) -> list[Share]:
        """Have a worker that is up try the models that none has yet: one that is not up can't say that it can't."""
        strangers = [
            stream.id for stream in config.streams if not set(stream.model_keys) <= self.models.keys()
        ]
        for number, supervisor in enumerate(self.supervisors):
            if supervisor.up:
                shares[number] = replace(shares[number], streams=(*shares[number].streams, *strangers))
                break
        return shares

    def _shares(self) -> list[Share]:
        return [each.share for each in self.supervisors]

    def _wait(self, answers: Sequence[Future[None]]) -> None:
        """Wait for workers' answers; raises the first error, or ConflictError where the daemon stops meanwhile."""
        while wait(answers, _LOOK_S).not_done:
            if self._stopping.is_set():
                raise ConflictError("the daemon stops")
        for answer in answers:
            answer.result()

    def liveness(self) -> Health:
        """Whether it gets on, or only a new process would help."""
        return self.vitals().liveness()

    def headline(self) -> str:
        """How it fares, in a few words."""
        return headline(self.board.node(), self.window.latest)

    def vitals(self) -> FleetVitals:
        """How parent and workers fare."""
        return FleetVitals(
            self.config.http, self.supervisors, self.ledger, self.reporter, self.board.streams, self._brokers
        )

    def started(self, share: Share, message: Started) -> None:
        """A worker's parts all run."""
        log.info("worker_up", worker=share.name, run=message.run, streams=len(share.streams), gpu=share.gpu)

    def models_loaded(self, models: Iterable[ModelInfo], config: Config) -> None:
        """A worker has these models, loaded as a configuration says."""
        fresh = {model.name: model for model in models if model.name not in self.models}
        self._sections |= {name: config.models[name] for name in fresh}
        self.models |= fresh
        self.ledger.know(self.models)
        if fresh and self._announced:
            self._announce()

    def changed(self, state: StreamState) -> None:
        """A stream has a new state."""
        self.relay.changed(state)

    def reported(self, share: Share, snapshot: Snapshot) -> None:
        """A worker's figures, every second."""
        self.ledger.take(share.number, snapshot)
        self.relay.frames_seen(snapshot.last_frames)
        self._judge_broker()

    def ended_worker(self, share: Share, text: str | None) -> None:
        """A worker is gone; `text` says why, None where it was told to."""
        self.ledger.close(share.number)
        if text is not None:
            self.relay.worker_ended(share.streams, text)
        self._judge_broker()

    def played(self, share: Share) -> Collection[str]:
        """Its streams that have been played to their end."""
        return self.relay.ended(share.streams)

    def gave_up(self, error: FramelaneError) -> None:
        """A worker can't be had."""
        self.fatal = self.fatal or error

    def _start_wave(self, wave: int) -> None:
        """Have the wave's workers load their models; wait until each has started once, or the daemon is to end."""
        if self._stopping.is_set():
            return
        due = [each for each in self.supervisors if each.share.wave == wave]
        for each in due:
            each.release()
        for each in due:
            while not each.settled.wait(_LOOK_S) and not self._stopping.is_set() and self.fatal is None:
                pass
        if self.fatal is not None:
            raise self.fatal

    def _make_sinks(self, config: Config) -> dict[str, SharedSink]:
        sinks = {}
        if config.mqtt is not None:
            mqtt = MqttSink(
                config.mqtt,
                config.node.id,
                self.run,
                self.clock,
                watch=self._broker_changed,
                place=place_of(config.mqtt.spool, config.node.id, os.environ, workers=self._busy),
                watch_spool=self._spool_changed,
            )
            self._announcer = announce_through(mqtt, config.node.id, config.mqtt)
            sinks["mqtt"] = SharedSink(mqtt, partial(self._theirs, "mqtt"))
        if config.jsonl is not None:
            jsonl = JsonlSink(config.jsonl, self.clock, shared=True)
            sinks["jsonl"] = SharedSink(jsonl, partial(self._theirs, "jsonl"))
        return sinks

    def _labels(self) -> dict[str, tuple[str, ...]]:
        """Of a copy: supervisors' threads add models."""
        return {name: model.labels for name, model in dict(self.models).items()}

    def _announce(self) -> None:
        """Announce streams whose models are known; of others what they find is not."""
        if self._announcer is not None and not self._stopping.is_set():  # else some models are not known
            labels = self._labels()
            streams = [stream for stream in self.config.streams if stream.enabled]
            known = [stream for stream in streams if set(stream.model_keys) <= labels.keys()]
            self._announced = True
            self._announcer.announce(known, labels, self._gpus.sample())

    def _busy(self) -> set[str]:
        """Names of the workers with a stream; whatever the others left in their spools, the parent delivers."""
        return {share.name for share in self._shares() if share.streams}

    def _theirs(self, name: str) -> list[SinkHealth]:
        """How the workers' sinks fare; one that has nothing to do misses no connection."""
        idle = {each.share.number for each in self.supervisors if each.idle}
        sinks = self.ledger.sinks(name).items()
        return [replace(sink, connected=True) if number in idle else sink for number, sink in sinks]

    def _broker_changed(self, *, connected: bool, text: str) -> None:  # noqa: ARG002 - of all sessions one is no news
        self._judge_broker()

    def _spool_changed(self, _trouble: str | None) -> None:
        self._judge_broker()

    def _judge_broker(self) -> None:
        """The broker is away where any session misses it; one that is still being made is not away."""
        if "mqtt" in self._sinks:
            health = self._sinks["mqtt"].health()
            self.board.broker_changed(connected=health.last_error is None, text=health.last_error or "")
            self.board.spool_changed(None if health.spool is None else health.spool.trouble)

    def _brokers(self) -> list[SinkHealth]:
        return [self._sinks["mqtt"].own_health(), *self._theirs("mqtt")] if "mqtt" in self._sinks else []

    def _start_http(self) -> HttpServer | None:
        def workers() -> Iterable[Collector]:
            from framelane.fleet.metrics import WorkerCollector  # noqa: PLC0415 - as `listener` imports

            return [WorkerCollector(self.supervisors, self.ledger)]

        mqtt = self._sinks.get("mqtt")
        detector = ElsewhereDetector()
        shown = Shown(
            self.vitals(),
            self.ledger,
            self.board,
            self.window,
            lambda: list(self.models.values()),
            mqtt,
            detector,
            self._editor,
        )
        return start_http(self.config, shown, self.clock, workers)
