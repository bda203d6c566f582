"""The composition root: makes every part a configuration asks for, joins them, starts and stops them in order."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import structlog

from framelane.config.differences import stream_changes
from framelane.core.clock import SystemClock
from framelane.core.errors import ConfigError
from framelane.core.heap import Heap
from framelane.detector import StillDetector
from framelane.gpu.watch import watch_gpus
from framelane.inference.class_filter import label_findings
from framelane.inference.cuda.site import CudaSite
from framelane.inference.stills import Stills
from framelane.listener import Shown, start_http
from framelane.pool import Hooks, ModelPool, unknown_labels
from framelane.roster import Roster
from framelane.sinks.homeassistant.announcer import announce_through
from framelane.sinks.jsonl import JsonlSink
from framelane.sinks.mqtt import MqttSink
from framelane.sinks.outlet import Outlet
from framelane.sinks.spool_place import place_of
from framelane.telemetry.gpus import NullGpuMonitor
from framelane.telemetry.health import ProgressWatch
from framelane.telemetry.meters import Meters
from framelane.telemetry.report import headline, log_stats
from framelane.telemetry.reporter import Reporter
from framelane.telemetry.stats import StatsWindow
from framelane.telemetry.status import StatusBoard
from framelane.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from framelane.config.schema import Config, ModelConfig, PublishConfig
    from framelane.core.clock import Clock
    from framelane.core.errors import Finding, FramelaneError
    from framelane.core.frames import ModelInfo, Result
    from framelane.sinks.homeassistant.announcer import Announcer
    from framelane.sinks.sink import Sink
    from framelane.telemetry.gpus import GpuSample, GpuWatch
    from framelane.telemetry.health import Health
    from framelane.telemetry.states import NodeState, StreamState
    from framelane.telemetry.stats import NodeStats
    from framelane.web.server import HttpServer
    from framelane.web.streams import StreamEditor

log = structlog.get_logger(__name__)

_CAMERAS_SHARE = 0.25


class App:
    """One node: cameras, models, sinks and telemetry, made from a configuration.

    Args:
        config: a checked configuration.
        clock: where every part reads the time.
        uplink: in a worker process, where states of streams go: its parent speaks for the node, and this
            process publishes detections alone.
        worker: in a worker process its name, which its spool bears.
        editor: what answers `/api/streams`; None for no such routes.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        uplink: Callable[[StreamState], None] | None = None,
        worker: str | None = None,
        editor: StreamEditor | None = None,
    ) -> None:
        self.config = config
        self._publish = _publish_by_stream(config)
        self._whole = uplink is None
        self._worker = worker
        self._editor = editor
        self.clock = clock or SystemClock()
        self.meters = Meters()
        self.gpu = CudaSite(config.gpus[0])
        self.started = False
        """Whether every part has been started."""
        self.http: HttpServer | None = None
        self.fatal: FramelaneError | None = None
        """What this process can't outlive, such as a GPU that is lost; the service ends with it."""
        self.run = secrets.token_hex(4)
        self._mqtt: MqttSink | None = None
        self._announcer: Announcer | None = None
        self.outlet = Outlet(
            config.node.id,
            self.run,
            self._publish_of,
            self._make_sinks(),
            meter=self,
            clock=self.clock,
            encoding=config.mqtt.payload if config.mqtt else "json",
            farewell=self._whole,
        )
        self.board = self._make_board(uplink)
        self.stills = Stills(lambda: self.pool.workers, self.clock)
        hooks = Hooks(self._deliver, self._frame_dropped, self._end_with, self.stills.lane)
        self.pool = ModelPool(self.gpu, self.meters, self.clock, hooks)
        self.roster = Roster(
            self.pool, self.meters, self.board, self.clock, self.gpu.index, self.outlet.forget
        )
        self._gpus: GpuWatch = NullGpuMonitor()
        self._heap = Heap()
        self.window = StatsWindow(self.meters, self.clock, gpus=self._sample_gpus)
        progress = ProgressWatch(self.clock)
        self.reporter = Reporter(
            self.board,
            self.window,
            lambda: progress.observe(self.meters.snapshot()),
            [*([self.outlet.publish_stats, log_stats] if self._whole else []), self._tidy_heap],
            config.node.stats_s,
            self.clock,
        )

    def start(self) -> None:
        """Load the models, then open everything; returns when all parts run, while cameras still connect.

        Raises:
            ModelError: a model can't be loaded.
            ConfigError: a stream asks for labels that its models don't know.
            FramelaneError: a part can't start, such as the HTTP listener.
        """
        self._load(self.config)
        self.http = self._start_http()
        self.outlet.start()
        self.pool.start(self.config.models)
        self._watch_gpus(self.config)
        self._announce()
        self.reporter.start()
        none = self.config.model_copy(update={"streams": []})
        self.roster.apply(stream_changes(none, self.config))
        self.board.completed()
        self.started = True
        if self._whole:
            log.info("started", node=self.config.node.id, run=self.run, streams=len(self.roster.cameras))

    @property
    def loaded(self) -> Mapping[str, ModelConfig]:
        """What each model that is loaded, by key, was loaded as."""
        return self.pool.sections

    def prepare(self, config: Config) -> None:
        """Make ready for other streams, all that can fail; the streams that run notice nothing.

        Raises:
            ModelError: a model that a stream is the first to name can't be loaded.
            ConfigError: a stream asks for labels that its models don't know.
            FramelaneError: a model's slots can't open.
        """
        self._load(config)
        self.pool.start(config.models)

    def commit(self, config: Config) -> None:
        """Go over to the streams of a configuration that was prepared; returns while new ones still connect."""
        changes = stream_changes(self.config, config)
        self.config, self._publish = config, _publish_by_stream(config)
        self._watch_gpus(config)
        self._announce()
        self.roster.apply(changes)

    def retry(self) -> None:
        """Try again at once what waits for its next login."""
        self.roster.retry()

    def stop(self, timeout_s: float) -> None:
        """Stop reading, infer and publish what is on its way, say goodbye; takes at most `timeout_s` seconds."""
        deadline_s = self.clock.monotonic() + timeout_s
        self.board.stopping("the daemon stops" if self.fatal is None else str(self.fatal))
        # A silent camera sits in a read until its timeout: not worth the time of the results on their way.
        self.roster.stop(timeout_s * _CAMERAS_SHARE)

        def left_s() -> float:
            # After a fatal error nothing more will be inferred.
            return max((deadline_s - self.clock.monotonic()) / 2, 0.0) if self.fatal is None else 0.0

        ended = self.pool.stop(left_s)
        self.stills.close()
        self.reporter.stop(1.0)
        self._gpus.close()
        self.outlet.stop(max(deadline_s - self.clock.monotonic(), 0.0))
        if self.http is not None:
            self.http.stop()
        if ended:  # else a batch that hangs still uses them
            self.pool.close()
            self.gpu.close()
        if self._whole:
            log.info("stopped", node=self.config.node.id, run=self.run)

    @property
    def ended(self) -> bool:
        """Whether every stream has been played to its end."""
        return self.roster.ended

    def liveness(self) -> Health:
        """Whether it gets on, or only a new process would help."""
        return self.vitals().liveness()

    def headline(self) -> str:
        """How it fares, in a few words."""
        return headline(self.board.node(), self.window.latest)

    def result_published(self, stream: str, latency_s: float) -> None:
        """The outlet's meter: a result of this stream went to the sinks."""
        meter = self.roster.meter(stream)
        if meter is not None:
            meter.result_published(latency_s)

    def vitals(self) -> Vitals:
        """How this process fares."""
        return Vitals(
            self.config.http, lambda: self.pool.workers, self._mqtt, self.reporter, self.board.streams
        )

    def _load(self, config: Config) -> None:
        self.pool.load(config)
        findings = [*unknown_labels(config, self.pool.labels), *self._announced_findings()]
        if findings:
            raise ConfigError(findings)

    def result_left_out(self, stream: str, reason: str) -> None:
        """The outlet's meter: a result of this stream is not published."""
        meter = self.roster.meter(stream)
        if meter is not None:
            meter.result_left_out(reason)

    def _make_sinks(self) -> list[Sink]:
        sinks: list[Sink] = []
        if self.config.mqtt is not None:
            self._mqtt = MqttSink(
                self.config.mqtt,
                self.config.node.id,
                self.run,
                self.clock,
                watch=self._broker_changed,
                will=self._whole,
                place=place_of(self.config.mqtt.spool, self.config.node.id, os.environ, worker=self._worker),
                watch_spool=self._spool_changed,
            )
            sinks.append(self._mqtt)
            if self._whole:
                self._announcer = announce_through(self._mqtt, self.config.node.id, self.config.mqtt)
        if self.config.jsonl is not None:
            sinks.append(JsonlSink(self.config.jsonl, self.clock, shared=not self._whole))
        return sinks

    def _make_board(self, uplink: Callable[[StreamState], None] | None) -> StatusBoard:
        """The parent of a worker process speaks for the node, and of streams that left."""
        if uplink is not None:
            return StatusBoard(self.clock, uplink, _untold, complete=False)
        outlet = self.outlet
        return StatusBoard(
            self.clock, outlet.publish_state, outlet.publish_status, outlet.publish_removed, complete=False
        )

    def _deliver(self, result: Result) -> None:
        """A result of a stream that has left meanwhile goes nowhere."""
        if not self.stills.deliver(result) and result.frame.stream in self.roster:
            self.outlet.publish(result)

    def _tidy_heap(self, stats: NodeStats) -> None:
        self._heap.note(sum(stream.reconnects for stream in stats.streams))

    def _announce(self) -> None:
        if self._announcer is not None:
            streams = [stream for stream in self.config.streams if stream.enabled]
            self._announcer.announce(streams, self.pool.labels, self._sample_gpus())

    def _publish_of(self, stream: str) -> PublishConfig:
        """Which results of a stream become messages; of one that is just leaving, as for all."""
        return self._publish.get(stream, self.config.publish)

    def _end_with(self, error: FramelaneError) -> None:
        """Have the service end with this error; of several slots' the first."""
        self.fatal = self.fatal or error

    def _watch_gpus(self, config: Config) -> None:
        """Tell the health of the GPU, once it is used; in a worker process its parent does."""
        inferring = any(worker.model.info.backend == "tensorrt" for worker in self.pool.workers.values())
        decoding = any(stream.enabled and stream.decode == "nvdec" for stream in config.streams)
        if isinstance(self._gpus, NullGpuMonitor) and self._whole and (inferring or decoding):
            self._gpus = watch_gpus([self.gpu.index])

    def _sample_gpus(self) -> Sequence[GpuSample]:
        return self._gpus.sample()

    def _frame_dropped(self, stream: str, reason: str) -> None:
        if self.stills.dropped(stream, reason):
            return
        meter = self.roster.meter(stream)
        if meter is not None:
            meter.frame_dropped(reason)

    def _broker_changed(self, *, connected: bool, text: str) -> None:
        self.board.broker_changed(connected=connected, text=text)

    def _spool_changed(self, trouble: str | None) -> None:
        self.board.spool_changed(trouble)

    def _announced_findings(self) -> list[Finding]:
        if self._announcer is None or self.config.mqtt is None:
            return []
        classes = self.config.mqtt.homeassistant.classes
        return label_findings("mqtt.homeassistant", self.pool.labels, classes, None)

    def _start_http(self) -> HttpServer | None:
        def models() -> list[ModelInfo]:
            return [worker.model.info for worker in self.pool.workers.values()]

        detector = StillDetector(self.stills, self.config.http.detect.timeout_s)
        shown = Shown(
            self.vitals(),
            self.meters,
            self.board,
            self.window,
            models,
            self._mqtt,
            detector,
            self._editor,
        )
        return start_http(self.config, shown, self.clock)


def _publish_by_stream(config: Config) -> dict[str, PublishConfig]:
    return {stream.id: stream.publish for stream in config.streams}


def _untold(_state: NodeState) -> None:
    """The parent process speaks for the node."""
