"""One daemon as consumers see it: its status, messages, HTTP listener, Home Assistant devices and health."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

import structlog

from framelane.config.explain.differences import announced_streams
from framelane.config.named_labels import listed_labels
from framelane.core.clock import SystemClock
from framelane.core.errors import ConfigError
from framelane.fleet.shared_sink import SharedSink
from framelane.gpu.watch import watch_gpus
from framelane.models.heads.class_filter import label_findings
from framelane.node.http_listener import HttpContent, start_http
from framelane.node.journal import broker_events, journal_collectors, make_journal, make_outbox
from framelane.node.media import NodeMedia
from framelane.node.pipeline import NodeParts
from framelane.sinks.homeassistant.announcer import TwoWaySink, announce_through
from framelane.sinks.publisher import Publisher
from framelane.sinks.table import SinkContext, make_sinks
from framelane.telemetry.gpus import NullGpuMonitor
from framelane.telemetry.history import History
from framelane.telemetry.housekeeping import Housekeeping, Task
from framelane.telemetry.node_health import NodeHealth
from framelane.telemetry.report import headline, stats_lines
from framelane.telemetry.stats import StatsWindow
from framelane.telemetry.status import TICK_S, StatusBoard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from prometheus_client.registry import Collector

    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config
    from framelane.core.clock import Clock
    from framelane.core.errors import FramelaneError
    from framelane.core.frames import ModelInfo
    from framelane.events.outbox import Outbox
    from framelane.node.pipeline import Pipeline
    from framelane.sinks.homeassistant.announcer import Announcer
    from framelane.telemetry.gpus import GpuSample, GpuWatch
    from framelane.telemetry.health import Health
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.states import StreamState
    from framelane.web.server import HttpServer
    from framelane.web.streams import StreamEditor

log = structlog.get_logger(__name__)

_LEFT_FOR_SINKS = 0.15
"""Share of the stop timeout for the sinks; the pipeline has the rest."""
_CONCLUDE_S = 1.0
"""Most seconds for the journal to write its last events, before and after the sinks drain."""


class Node:
    """Runs a pipeline and everything that exists once per node.

    Args:
        config: a checked configuration.
        make_pipeline: creates the pipeline.
        shared: whether several processes write to the same sinks.
        clock: the clock of all parts.
        editor: handles `/api/streams`; None for no such routes.
    """

    def __init__(
        self,
        config: Config,
        make_pipeline: Callable[[Config, NodeParts], Pipeline],
        *,
        shared: bool = False,
        clock: Clock | None = None,
        editor: StreamEditor | None = None,
    ) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.run = secrets.token_hex(4)
        self.http: HttpServer | None = None
        self._editor = editor
        self._announcer: Announcer | None = None
        self._announced = False
        self._mqtt: SharedSink | None = None
        self._gpus: GpuWatch = NullGpuMonitor()
        self._history = History(self.clock, config.node.stats_s)
        self._stats_lines = stats_lines(config.log.stats)
        outbox = make_outbox(config, self.clock)
        self.publisher = self._make_publisher(config, outbox, shared=shared)
        self.board = self._make_board()
        self._media = NodeMedia(config.media, self.clock, self.board.upload_changed)
        self.journal = make_journal(
            config, self.clock, outbox, self.publisher.offer, self.board.journal_changed
        )
        self.pipeline = make_pipeline(config, self._parts())
        self.window = StatsWindow(
            self.pipeline.fresh_meters, self.clock, self.pipeline.used, self._sample_gpus
        )
        self.housekeeping = self._make_housekeeping(config)
        self.health = NodeHealth(
            config.http.ready, self.pipeline, self.housekeeping, self.board.streams, self._brokers
        )

    def start(self) -> None:
        """Load the models, then start all parts, without waiting for cameras to connect.

        Raises:
            ModelError: a model can't be loaded.
            ConfigError: labels are unknown.
            FramelaneError: a part can't start, such as the HTTP listener.
        """
        self.http = self._start_http()
        self.pipeline.load()
        self._check_labels()
        self.publisher.start()
        self.journal.start()
        self.housekeeping.start()
        self._media.start()
        self.pipeline.start()
        self._watch_gpus()
        self._announce()
        self.board.completed()
        log.info("started", node=self.config.node.id, run=self.run, streams=len(self.board.streams()))

    def stop(self, timeout_s: float) -> None:
        """Stop reading, publish what has been read, then `offline`; takes at most `timeout_s` seconds."""
        deadline_s = self.clock.monotonic() + timeout_s
        self.board.stopping("the daemon stops" if self.fatal is None else str(self.fatal))
        self.pipeline.stop(timeout_s * (1 - _LEFT_FOR_SINKS))
        self.housekeeping.stop(1.0)
        self._gpus.close()
        self._media.stop(1.0)
        # The sinks take the last events from the journal while they drain.
        self.journal.conclude(_CONCLUDE_S)
        self.publisher.stop(max(deadline_s - self.clock.monotonic(), 0.0))
        self.journal.stop(_CONCLUDE_S)
        if self.http is not None:
            self.http.stop()
        log.info("stopped", node=self.config.node.id, run=self.run)

    @property
    def ended(self) -> bool:
        """Whether every stream has been played to its end."""
        return self.pipeline.ended

    @property
    def fatal(self) -> FramelaneError | None:
        """Why the daemon can't go on; None while it can."""
        return self.pipeline.fatal

    @property
    def loaded(self) -> Mapping[str, ModelConfig]:
        """The configuration section that each model was loaded with, by key."""
        return self.pipeline.loaded

    def prepare(self, config: Config) -> None:
        """Do everything about a change to a new configuration that can fail.

        Raises:
            FramelaneError: it failed; nothing has changed.
        """
        self.pipeline.prepare(config)
        self._check_labels()

    def commit(self, config: Config) -> None:
        """Switch to the streams of a prepared configuration, without waiting for cameras to connect."""
        # Its counters start again before events of the new rules come.
        self.journal.configure(config)
        self._media.configure(config.media)
        self.pipeline.commit(config)
        self.config = config
        self._watch_gpus()
        self._announce()

    def retry(self) -> None:
        """Retry now the cameras that refused a login."""
        self.pipeline.retry()

    def liveness(self) -> Health:
        """Return whether the daemon makes progress; if not, only a restart helps."""
        return self.health.liveness()

    def headline(self) -> str:
        """Return a summary of the node in a few words."""
        return headline(self.board.node(), self.window.latest)

    def _make_publisher(self, config: Config, outbox: Outbox | None, *, shared: bool) -> Publisher:
        sinks = self._make_sinks(config, outbox, shared=shared)
        payload = config.mqtt.payload if config.mqtt else "json"
        return Publisher(config.node.id, self.run, sinks, self.clock, payload)

    def _make_board(self) -> StatusBoard:
        return StatusBoard(
            self.clock,
            self._stream_changed,
            self.publisher.publish_status,
            self._stream_removed,
            complete=False,
        )

    def _parts(self) -> NodeParts:
        return NodeParts(
            self.board, self.publisher, self.clock, self.journal, self._models_changed, self._judge_broker
        )

    def _make_housekeeping(self, config: Config) -> Housekeeping:
        tasks = [
            Task("stalls", TICK_S, self.board.tick),
            Task("pipeline", TICK_S, self.pipeline.look),
            Task("statistics", config.node.stats_s, self._report),
            Task("heap", config.node.stats_s, self.pipeline.trim_heap),
        ]
        return Housekeeping(tasks, self.clock)

    def _make_sinks(self, config: Config, outbox: Outbox | None, *, shared: bool) -> list[SharedSink]:
        context = SinkContext(
            config.node.id,
            self.run,
            self.clock,
            shared=shared,
            busy=self._busy,
            broker_changed=self._broker_changed,
            spool_changed=self._spool_changed,
            events=broker_events(config, outbox),
        )
        own = make_sinks(config, context)
        shared_sinks = {name: SharedSink(sink, partial(self._others, name)) for name, sink in own.items()}
        mqtt = own.get("mqtt")
        if config.mqtt is not None and isinstance(mqtt, TwoWaySink):
            self._mqtt = shared_sinks["mqtt"]
            self._announcer = announce_through(mqtt, config.node.id, config.mqtt)
        return list(shared_sinks.values())

    def _others(self, name: str) -> Sequence[SinkHealth]:
        """Ask the pipeline, which is made after the sinks."""
        return self.pipeline.sinks(name)

    def _busy(self) -> Collection[str]:
        """Ask the pipeline, which is made after the sinks."""
        return self.pipeline.busy()

    def _stream_changed(self, state: StreamState) -> None:
        self._history.changed(state)
        self.publisher.publish_state(state)
        self.journal.stream_changed(state)

    def _stream_removed(self, stream: str) -> None:
        self._history.removed(stream)
        self.publisher.publish_removed(stream)
        self.journal.stream_removed(stream)

    def _report(self) -> None:
        """End the statistics window; publish and log its figures."""
        stats = self.window.close()
        self.publisher.publish_stats(stats, self._media.health())
        self._history.note(stats)
        for write in self._stats_lines:
            write(stats)

    def _watch_gpus(self) -> None:
        """Start sampling GPUs once they are used."""
        if isinstance(self._gpus, NullGpuMonitor) and self.pipeline.gpus:
            self._gpus = watch_gpus(list(self.pipeline.gpus))

    def _models_changed(self) -> None:
        if self._announced:
            self._announce()

    def _announce(self) -> None:
        """Announce to Home Assistant the streams whose models are loaded.

        The labels of others are not known yet.
        """
        self._announced = True
        if self._announcer is not None:
            labels = self.pipeline.labels
            known = announced_streams(self.config, labels)
            self._announcer.announce(known, labels, self._gpus.sample())

    def _check_labels(self) -> None:
        """Raise ConfigError if Home Assistant is to get classes that no model has."""
        if self._announcer is None or self.config.mqtt is None:
            return
        labels, classes = self.pipeline.labels, self.config.mqtt.homeassistant.classes
        used = {key for stream in self.config.streams if stream.enabled for key in stream.model_keys}
        # A worker process that is still starting has not reported its models' labels yet.
        if not used <= labels.keys():
            return
        findings = label_findings("mqtt.homeassistant", labels, listed_labels(classes))
        if findings:
            raise ConfigError(findings)

    def _broker_changed(self, *, connected: bool, text: str) -> None:
        if self.pipeline.sinks("mqtt"):
            self._judge_broker()
        else:
            self.board.broker_changed(connected=connected, text=text)

    def _spool_changed(self, trouble: str | None) -> None:
        if self.pipeline.sinks("mqtt"):
            self._judge_broker()
        else:
            self.board.spool_changed(trouble)

    def _judge_broker(self) -> None:
        """Report the broker as away if any session has an error; a session that still connects has none."""
        if self._mqtt is not None:
            health = self._mqtt.health()
            self.board.broker_changed(connected=health.last_error is None, text=health.last_error or "")
            self.board.spool_changed(None if health.spool is None else health.spool.trouble)

    def _brokers(self) -> list[SinkHealth]:
        """Return the health of all sessions with the broker, this process's first."""
        return [] if self._mqtt is None else [self._mqtt.own_health(), *self.pipeline.sinks("mqtt")]

    def _sample_gpus(self) -> Sequence[GpuSample]:
        return self._gpus.sample()

    def _start_http(self) -> HttpServer | None:
        def models() -> Iterable[ModelInfo]:
            return self.pipeline.models

        content = HttpContent(
            self.health,
            self.pipeline.meters,
            self.board,
            self.window,
            models,
            lambda: [*self.publisher.health(), *self._media.health()],
            self.pipeline.detector,
            self._history,
            self.pipeline.live,
            lambda: self.config.streams,
            self.journal,
            lambda: self.config.models,
            self.journal.history,
            self.run,
            self._editor,
            self._media.files,
        )
        return start_http(self.config, content, self.clock, self._collectors)

    def _collectors(self) -> Sequence[Collector]:
        """Return the collectors of metrics beside those of streams and models."""
        return [
            *self.pipeline.collectors(),
            *journal_collectors(self.journal),
            *self._media.collectors(),
        ]
