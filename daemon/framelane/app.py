"""The composition root: makes every part a configuration asks for, joins them, starts and stops them in order."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import structlog

from framelane.core.clock import SystemClock
from framelane.core.errors import ConfigError
from framelane.inference.batcher import Batcher
from framelane.inference.class_filter import label_findings
from framelane.inference.model import load_model
from framelane.inference.worker import Lane, ModelWorker
from framelane.sinks.jsonl import JsonlSink
from framelane.sinks.mqtt import MqttSink
from framelane.sinks.outlet import Outlet
from framelane.sources.camera import CameraWorker
from framelane.telemetry.health import ProgressWatch
from framelane.telemetry.meters import Meters
from framelane.telemetry.report import log_stats
from framelane.telemetry.reporter import Reporter
from framelane.telemetry.stats import StatsWindow
from framelane.telemetry.status import StatusBoard
from framelane.vitals import Vitals

if TYPE_CHECKING:
    from framelane.config.schema import Config, ModelConfig, StreamConfig
    from framelane.core.clock import Clock
    from framelane.inference.model import Model
    from framelane.sinks.sink import Sink
    from framelane.telemetry.meters import StreamMeter
    from framelane.web.server import HttpServer

log = structlog.get_logger(__name__)

_CAMERAS_SHARE = 0.25


class App:
    """One node: cameras, models, sinks and telemetry, made from a configuration.

    Args:
        config: a checked configuration.
        clock: where every part reads the time.
    """

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.meters = Meters()
        self.models: dict[str, ModelWorker] = {}
        self.cameras: list[CameraWorker] = []
        self.http: HttpServer | None = None
        self._streams = [stream for stream in config.streams if stream.enabled]
        self._stream_meters = {stream.id: self.meters.stream(stream.id) for stream in self._streams}
        self.run = secrets.token_hex(4)
        self._mqtt: MqttSink | None = None
        self.outlet = Outlet(
            config.node.id, self.run, config.publish, self._make_sinks(), meter=self, clock=self.clock
        )
        self.board = StatusBoard(self.clock, self.outlet.publish_state, self.outlet.publish_status)
        self.window = StatsWindow(self.meters, self.clock)
        self.reporter = Reporter(
            self.board,
            self.meters,
            self.window,
            ProgressWatch(self.clock),
            [self.outlet.publish_stats, log_stats],
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
        used = {key for stream in self._streams for key in stream.model_keys}
        models = {key: load_model(key, section) for key, section in self.config.models.items() if key in used}
        self._check_labels(models)
        self._start_http()
        self.outlet.start()
        for key, model in models.items():
            self.models[key] = self._model_worker(model, self.config.models[key])
            self.models[key].start(self.config.models[key].slots)
        self.reporter.start()
        self.cameras = [self._camera(stream) for stream in self._streams]
        for camera in self.cameras:
            camera.start()
        log.info("started", node=self.config.node.id, run=self.run, streams=len(self.cameras))

    def stop(self, timeout_s: float) -> None:
        """Stop reading, infer and publish what is on its way, say goodbye; takes at most `timeout_s` seconds."""
        deadline_s = self.clock.monotonic() + timeout_s
        self.board.stopping()
        for camera in self.cameras:
            camera.stopping.set()
        # A silent camera sits in a read until its timeout: not worth the time of the results on their way.
        cameras_s = self.clock.monotonic() + timeout_s * _CAMERAS_SHARE
        for camera in self.cameras:
            camera.stop(max(cameras_s - self.clock.monotonic(), 0.0))
        for model in self.models.values():
            model.stop(max((deadline_s - self.clock.monotonic()) / 2, 0.0))
        self.reporter.stop(1.0)
        self.outlet.stop(max(deadline_s - self.clock.monotonic(), 0.0))
        if self.http is not None:
            self.http.stop()
        log.info("stopped", node=self.config.node.id, run=self.run)

    @property
    def ended(self) -> bool:
        """Whether every stream has been played to its end."""
        return bool(self.cameras) and not any(camera.alive for camera in self.cameras)

    def result_published(self, stream: str, latency_s: float) -> None:
        """The outlet's meter: a result of this stream went to the sinks."""
        self._stream_meters[stream].result_published(latency_s)

    def _make_sinks(self) -> list[Sink]:
        sinks: list[Sink] = []
        if self.config.mqtt is not None:
            self._mqtt = MqttSink(
                self.config.mqtt, self.config.node.id, self.run, self.clock, watch=self._broker_changed
            )
            sinks.append(self._mqtt)
        if self.config.jsonl is not None:
            sinks.append(JsonlSink(self.config.jsonl, self.clock))
        return sinks

    def _frame_dropped(self, stream: str, reason: str) -> None:
        self._stream_meters[stream].frame_dropped(reason)

    def _broker_changed(self, *, connected: bool, text: str) -> None:
        self.board.broker_changed(connected=connected, text=text)

    def _check_labels(self, models: dict[str, Model]) -> None:
        findings = []
        for index, stream in enumerate(self.config.streams):
            labels = {key: models[key].info.labels for key in stream.model_keys if key in models}
            if stream.enabled:
                findings += label_findings(f"streams[{index}]", labels, stream.classes, stream.confidence)
        if findings:
            raise ConfigError(findings)

    def _model_worker(self, model: Model, section: ModelConfig) -> ModelWorker:
        name = model.info.name
        lanes = {
            stream.id: Lane(model.filter(stream.classes, stream.confidence), self._stream_meters[stream.id])
            for stream in self._streams
            if name in stream.model_keys
        }
        batch = section.batch or model.backend.best_batch
        batcher = Batcher(batch, section.linger_ms / 1e3, self.clock, self._frame_dropped)
        meter = self.meters.model(name)
        return ModelWorker(model, batcher, lanes.__getitem__, meter, self.outlet.publish, self.clock)

    def _camera(self, stream: StreamConfig) -> CameraWorker:
        meter: StreamMeter = self._stream_meters[stream.id]
        status = self.board.stream(stream.id, stream.read_timeout_s, meter)
        batchers = [self.models[key].batcher for key in stream.model_keys]
        return CameraWorker(stream, batchers, meter, status, self.clock)

    def _start_http(self) -> None:
        if self.config.http.listen is None:
            return
        # Imported only where they are asked for: the web stack takes memory that a small host may lack.
        from framelane.telemetry.prometheus import FramelaneCollector, MetricsPage  # noqa: PLC0415
        from framelane.web.app import create_app  # noqa: PLC0415
        from framelane.web.server import HttpServer  # noqa: PLC0415
        from framelane.web.status import StatusReply, describe  # noqa: PLC0415

        vitals = Vitals(self.config.http, self.models, self._mqtt, self.reporter, self.board.streams)
        metrics = MetricsPage(
            FramelaneCollector(
                self.meters,
                self.board,
                lambda: self.window.latest,
                lambda: [worker.model.info for worker in self.models.values()],
                self._mqtt,
            )
        )

        def status() -> StatusReply:
            node, streams, latest = self.board.node(), self.board.streams(), self.window.latest
            return describe(self.config.node.id, node, streams, latest, self.clock.monotonic())

        token = self.config.http.token
        app = create_app(vitals, metrics, status, None if token is None else token.get_secret_value())
        self.http = HttpServer(app, self.config.http.listen)
        self.http.start()
