"""The composition root: makes every part a configuration asks for, joins them, starts and stops them in order."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import structlog

from framelane.core.clock import SystemClock
from framelane.core.errors import ConfigError
from framelane.detector import StillDetector
from framelane.gpu.present import why_no_nvdec
from framelane.gpu.watch import watch_gpus
from framelane.inference.batcher import Batcher
from framelane.inference.class_filter import label_findings
from framelane.inference.cuda.site import CudaSite
from framelane.inference.letterbox import Crop
from framelane.inference.model import load_model
from framelane.inference.stills import Stills
from framelane.inference.worker import Lane, ModelWorker
from framelane.listener import Shown, start_http
from framelane.sinks.homeassistant.announcer import announce_through
from framelane.sinks.jsonl import JsonlSink
from framelane.sinks.mqtt import MqttSink
from framelane.sinks.outlet import Outlet
from framelane.sinks.spool_place import place_of
from framelane.sources.camera import CameraWorker
from framelane.sources.decoder import choose_decoder
from framelane.telemetry.gpus import NullGpuMonitor
from framelane.telemetry.health import ProgressWatch
from framelane.telemetry.meters import Meters
from framelane.telemetry.report import headline, log_stats
from framelane.telemetry.reporter import Reporter
from framelane.telemetry.stats import StatsWindow
from framelane.telemetry.status import StatusBoard
from framelane.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.config.schema import Config, ModelConfig, StreamConfig
    from framelane.core.clock import Clock
    from framelane.core.errors import Finding, FramelaneError
    from framelane.core.frames import ModelInfo, Result
    from framelane.inference.model import Model
    from framelane.sinks.homeassistant.announcer import Announcer
    from framelane.sinks.sink import Sink
    from framelane.telemetry.gpus import GpuSample, GpuWatch
    from framelane.telemetry.health import Health
    from framelane.telemetry.meters import StreamMeter
    from framelane.telemetry.states import NodeState, StreamState
    from framelane.web.server import HttpServer

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
    """

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        uplink: Callable[[StreamState], None] | None = None,
        worker: str | None = None,
    ) -> None:
        self.config = config
        self._whole = uplink is None
        self._worker = worker
        self.clock = clock or SystemClock()
        self.meters = Meters()
        self.gpu = CudaSite(config.gpus[0])
        self.models: dict[str, ModelWorker] = {}
        self._loaded: dict[str, Model] = {}
        self.stills = Stills(self.models, self.clock)
        self.cameras: list[CameraWorker] = []
        self.http: HttpServer | None = None
        self.fatal: FramelaneError | None = None
        """What this process can't outlive, such as a GPU that is lost; the service ends with it."""
        self._streams = [stream for stream in config.streams if stream.enabled]
        self._stream_meters = {stream.id: self.meters.stream(stream.id) for stream in self._streams}
        self.run = secrets.token_hex(4)
        self._mqtt: MqttSink | None = None
        self._announcer: Announcer | None = None
        self.outlet = Outlet(
            config.node.id,
            self.run,
            {stream.id: stream.publish for stream in self._streams}.__getitem__,
            self._make_sinks(),
            meter=self,
            clock=self.clock,
            encoding=config.mqtt.payload if config.mqtt else "json",
            farewell=self._whole,
        )
        on_node = self.outlet.publish_status if self._whole else _untold
        self.board = StatusBoard(self.clock, uplink or self.outlet.publish_state, on_node)
        self._gpus: GpuWatch = NullGpuMonitor()
        self.window = StatsWindow(self.meters, self.clock, gpus=self._sample_gpus)
        self.reporter = Reporter(
            self.board,
            self.meters,
            self.window,
            ProgressWatch(self.clock),
            [self.outlet.publish_stats, log_stats] if self._whole else [],
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
        models = self._loaded
        for key, section in self.config.models.items():
            if key in used:
                models[key] = load_model(key, section, self.gpu)
        self._check_labels(models)
        self.http = self._start_http()
        self.outlet.start()
        for key, model in models.items():
            self.models[key] = self._model_worker(model, self.config.models[key])
            self.models[key].start(self.config.models[key].slots)
            self.meters.model(key).slots_opened(self.models[key].slots)
        self._gpus = watch_gpus(self._used_gpus(models))
        self._announce()
        self.reporter.start()
        self.cameras = [self._camera(stream) for stream in self._streams]
        for camera in self.cameras:
            camera.start()
        if self._whole:
            log.info("started", node=self.config.node.id, run=self.run, streams=len(self.cameras))

    def stop(self, timeout_s: float) -> None:
        """Stop reading, infer and publish what is on its way, say goodbye; takes at most `timeout_s` seconds."""
        deadline_s = self.clock.monotonic() + timeout_s
        self.board.stopping("the daemon stops" if self.fatal is None else str(self.fatal))
        for camera in self.cameras:
            camera.stopping.set()
        # A silent camera sits in a read until its timeout: not worth the time of the results on their way.
        cameras_s = self.clock.monotonic() + timeout_s * _CAMERAS_SHARE
        for camera in self.cameras:
            camera.stop(max(cameras_s - self.clock.monotonic(), 0.0))
        ended = []
        for model in self.models.values():
            # After a fatal error nothing more will be inferred.
            left_s = max((deadline_s - self.clock.monotonic()) / 2, 0.0) if self.fatal is None else 0.0
            ended.append(model.stop(left_s))
        self.stills.close()
        self.reporter.stop(1.0)
        self._gpus.close()
        self.outlet.stop(max(deadline_s - self.clock.monotonic(), 0.0))
        if self.http is not None:
            self.http.stop()
        if all(ended):  # else a batch that hangs still uses them
            self._close_models()
        if self._whole:
            log.info("stopped", node=self.config.node.id, run=self.run)

    def _close_models(self) -> None:
        for model in self._loaded.values():
            model.close()
        self.gpu.close()

    @property
    def ended(self) -> bool:
        """Whether every stream has been played to its end."""
        return bool(self.cameras) and not any(camera.alive for camera in self.cameras)

    def liveness(self) -> Health:
        """Whether it gets on, or only a new process would help."""
        return self.vitals().liveness()

    def headline(self) -> str:
        """How it fares, in a few words."""
        return headline(self.board.node(), self.window.latest)

    def result_published(self, stream: str, latency_s: float) -> None:
        """The outlet's meter: a result of this stream went to the sinks."""
        self._stream_meters[stream].result_published(latency_s)

    def result_left_out(self, stream: str, reason: str) -> None:
        """The outlet's meter: a result of this stream is not published."""
        self._stream_meters[stream].result_left_out(reason)

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

    def _deliver(self, result: Result) -> None:
        if not self.stills.deliver(result):
            self.outlet.publish(result)

    def _announce(self) -> None:
        if self._announcer is not None:
            labels = {key: model.info.labels for key, model in self._loaded.items()}
            self._announcer.announce(self._streams, labels, self._sample_gpus())

    def _end_with(self, error: FramelaneError) -> None:
        """Have the service end with this error; of several slots' the first."""
        self.fatal = self.fatal or error

    def _sample_gpus(self) -> Sequence[GpuSample]:
        return self._gpus.sample()

    def _used_gpus(self, models: dict[str, Model]) -> list[int]:
        """The GPUs whose health this process tells; in a worker process its parent does."""
        inferring = any(model.info.backend == "tensorrt" for model in models.values())
        decoding = any(stream.decode == "nvdec" for stream in self._streams)
        return [self.gpu.index] if self._whole and (inferring or decoding) else []

    def _frame_dropped(self, stream: str, reason: str) -> None:
        if not self.stills.dropped(stream, reason):
            self._stream_meters[stream].frame_dropped(reason)

    def _broker_changed(self, *, connected: bool, text: str) -> None:
        self.board.broker_changed(connected=connected, text=text)

    def _spool_changed(self, trouble: str | None) -> None:
        self.board.spool_changed(trouble)

    def _check_labels(self, models: dict[str, Model]) -> None:
        findings = []
        for index, stream in enumerate(self.config.streams):
            labels = {key: models[key].info.labels for key in stream.model_keys if key in models}
            if stream.enabled:
                findings += label_findings(f"streams[{index}]", labels, stream.classes, stream.confidence)
        findings += self._announced_findings(models)
        if findings:
            raise ConfigError(findings)

    def _announced_findings(self, models: dict[str, Model]) -> list[Finding]:
        if self._announcer is None or self.config.mqtt is None:
            return []
        labels = {key: model.info.labels for key, model in models.items()}
        return label_findings("mqtt.homeassistant", labels, self.config.mqtt.homeassistant.classes, None)

    def _model_worker(self, model: Model, section: ModelConfig) -> ModelWorker:
        name = model.info.name
        lanes = {
            stream.id: Lane(
                model.filter(stream.classes, stream.confidence),
                self._stream_meters[stream.id],
                Crop.of(stream.crop),
            )
            for stream in self._streams
            if name in stream.model_keys
        }
        batch = section.batch or model.backend.best_batch
        waiting = section.waiting or model.backend.best_waiting
        batcher = Batcher(batch, section.linger_ms / 1e3, self.clock, self._frame_dropped, waiting)
        meter = self.meters.model(name)

        def lane_of(stream: str) -> Lane:
            return lanes.get(stream) or self.stills.lane(stream)

        return ModelWorker(model, batcher, lane_of, meter, self._deliver, self.clock, self._end_with)

    def _camera(self, stream: StreamConfig) -> CameraWorker:
        meter: StreamMeter = self._stream_meters[stream.id]
        status = self.board.stream(stream.id, stream.read_timeout_s, meter)
        batchers = [self.models[key].batcher for key in stream.model_keys]
        backends = {self.models[key].model.info.backend for key in stream.model_keys}
        choice = choose_decoder(stream.decode, backends, self.gpu.index, why_no_nvdec)
        return CameraWorker(stream, batchers, meter, status, self.clock, choice)

    def vitals(self) -> Vitals:
        """How this process fares."""
        return Vitals(self.config.http, self.models, self._mqtt, self.reporter, self.board.streams)

    def _start_http(self) -> HttpServer | None:
        def models() -> list[ModelInfo]:
            return [worker.model.info for worker in self.models.values()]

        detector = StillDetector(self.stills, self.config.http.detect.timeout_s)
        shown = Shown(self.vitals(), self.meters, self.board, self.window, models, self._mqtt, detector)
        return start_http(self.config, shown, self.clock)


def _untold(_state: NodeState) -> None:
    """The parent process speaks for the node."""
