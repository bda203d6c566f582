"""The pipeline of one process: its models and streams."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from framelane.config.explain.differences import stream_changes
from framelane.core.errors import ConfigError
from framelane.core.heap import Heap
from framelane.footage.footage import Footage
from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.live.hub import LiveHub
from framelane.models.heads.class_filter import unknown_labels
from framelane.pipeline.image_detector import ImageDetector
from framelane.pipeline.models import ModelPool
from framelane.pipeline.streams import StreamRegistry
from framelane.telemetry.health import ProgressWatch
from framelane.telemetry.meters import Meters
from framelane.telemetry.stats import sample_process

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from prometheus_client.registry import Collector

    from framelane.config.explain.differences import StreamChanges
    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config
    from framelane.core.clock import Clock
    from framelane.core.errors import FramelaneError
    from framelane.core.frames import ModelInfo
    from framelane.pipeline.tracking import EventTaker
    from framelane.sinks.publisher import Publisher
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.stats import ProcessSample
    from framelane.telemetry.status import StatusBoard

_CAMERAS_SHARE = 0.25
"""Share of the stop timeout for cameras: a silent camera blocks in a read until its own timeout."""


class LocalPipeline:
    """Decodes, infers and publishes streams in this process.

    Args:
        config: a checked configuration.
        board: receives the streams' states.
        publisher: receives results; the caller starts and stops it.
        clock: the clock of all parts.
        events: takes what happens to tracked objects.
        partial: whether other processes run the node's other streams. Then disabled streams may be
            theirs, and are not shown.
    """

    def __init__(
        self,
        config: Config,
        board: StatusBoard,
        publisher: Publisher,
        clock: Clock,
        events: EventTaker,
        *,
        partial: bool = False,
    ) -> None:
        self.config = config
        self.fatal: FramelaneError | None = None
        """An error that must end this process, such as a lost GPU."""
        self.meters = self.fresh_meters = Meters()
        self.waiting_s = 0.0
        """Seconds for which frames have waited without any being inferred, as of the last `look`."""
        self._clock = clock
        self._partial = partial
        self._gpu = SharedGpu(config.gpus[0])
        self.footage = Footage(config, publisher.origin.node, publisher.offer, clock, events)
        self.pool = ModelPool(self._gpu, self.meters, clock, self._end_with, publisher.origin, self.footage)
        self.live = LiveHub(clock)
        self.streams = StreamRegistry(
            self.pool, self.meters, board, publisher, clock, self._gpu.index, self.live, self.footage
        )
        self.detector = ImageDetector(lambda: self.pool.workers, clock, config.http.detect.timeout_s)
        self._progress = ProgressWatch(clock)
        self._heap = Heap()

    def load(self) -> None:
        """Load the models of enabled streams; if there are none but some may be added, load all models.

        Raises:
            ModelError: a model can't be loaded.
            ConfigError: a stream asks for labels that its models don't have.
        """
        expects = self.config.http.listen is not None or self._partial
        none = not any(stream.enabled for stream in self.config.streams)
        self._load(self.config, every_model=expects and none)

    def start(self) -> None:
        """Open the models' slots, then start the cameras, without waiting for them to connect.

        Raises:
            FramelaneError: a model's slots can't open.
        """
        self.pool.start(self.config.models)
        self.pool.follow(self.config.models)
        none = self.config.model_copy(update={"streams": []})
        self.streams.apply(self._changes(none, self.config))

    def prepare(self, config: Config) -> None:
        """Load and start the models that a new configuration needs, without affecting running streams.

        Raises:
            ModelError: a newly used model can't be loaded.
            ConfigError: a stream asks for labels that its models don't have.
            FramelaneError: a model's slots can't open.
        """
        self._load(config)
        self.pool.start(config.models)

    def commit(self, config: Config) -> None:
        """Switch to the streams of a prepared configuration, without waiting for cameras to connect."""
        changes = self._changes(self.config, config)
        self.config = config
        self.pool.follow(config.models)
        self.streams.apply(changes)
        self.streams.follow_models()

    def retry(self) -> None:
        """Retry now the cameras that refused a login."""
        self.streams.retry()

    def stop(self, timeout_s: float) -> None:
        """Stop reading, then infer and deliver what has been read.

        Takes at most about half of `timeout_s`.
        """
        deadline_s = self._clock.monotonic() + timeout_s
        self.live.stop(0.0)
        self.streams.stop(timeout_s * _CAMERAS_SHARE)

        def left_s() -> float:
            # After a fatal error nothing more will be inferred.
            return max((deadline_s - self._clock.monotonic()) / 2, 0.0) if self.fatal is None else 0.0

        ended = self.pool.stop(left_s)
        self.footage.stop(left_s())
        self.detector.close()
        # A batch that hangs still uses the models and the GPU.
        if ended:
            self.pool.close()
            self._gpu.close()

    def look(self) -> None:
        """Check for failing models and waiting frames; called by housekeeping."""
        self.streams.look()
        self.waiting_s = self._progress.observe(self.meters.snapshot())

    def trim_heap(self) -> None:
        """Return memory that reconnects have left to the system; called by housekeeping."""
        streams = self.meters.snapshot().streams.values()
        self._heap.note(sum(stream.reconnects for stream in streams))

    @property
    def ended(self) -> bool:
        """Whether every stream has been played to its end."""
        return self.streams.ended

    @property
    def loaded(self) -> Mapping[str, ModelConfig]:
        """The configuration section that each model was loaded with, by key."""
        return self.pool.sections

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The class names of each loaded model, by key."""
        return self.pool.labels

    @property
    def models(self) -> list[ModelInfo]:
        """All models in use."""
        return [worker.model.info for worker in self.pool.workers.values()]

    @property
    def gpus(self) -> Sequence[int]:
        """The GPUs in use."""
        inferring = any(model.backend == "tensorrt" for model in self.models)
        decoding = any(stream.enabled and stream.decode == "nvdec" for stream in self.config.streams)
        return [self._gpu.index] if inferring or decoding else []

    @property
    def threads(self) -> Mapping[str, bool]:
        """Whether each model's threads run, by name."""
        return {name: worker.alive for name, worker in self.pool.workers.items()}

    @property
    def liveness_reasons(self) -> Sequence[str]:
        """None: `threads` and `waiting_s` cover everything."""
        return ()

    @property
    def missing(self) -> Sequence[str]:
        """Why it is not ready: models that have ended, or models of streams that fail on every batch.

        Without a model that looks at objects detections go on.
        """
        workers = self.pool.workers
        ended = [f"model {name} is not loaded" for name, worker in workers.items() if not worker.alive]
        firsts = [worker for name, worker in workers.items() if self.pool.sections[name].of is None]
        return [*ended, *(trouble for worker in firsts if (trouble := worker.trouble) is not None)]

    def used(self) -> ProcessSample:
        """Return memory and CPU of this process."""
        return sample_process()

    def sinks(self, _name: str) -> Sequence[SinkHealth]:
        """Return none: results go to the node's own publisher."""
        return ()

    def busy(self) -> Collection[str]:
        """Return none: there are no worker processes."""
        return ()

    def collectors(self) -> Sequence[Collector]:
        """Return no further metrics."""
        return ()

    def _load(self, config: Config, *, every_model: bool = False) -> None:
        self.pool.load(config, every_model=every_model)
        findings = unknown_labels(config, self.pool.labels)
        if findings:
            raise ConfigError(findings)

    def _changes(self, before: Config, after: Config) -> StreamChanges:
        changes = stream_changes(before, after)
        return replace(changes, disabled=(), forgotten=()) if self._partial else changes

    def _end_with(self, error: FramelaneError) -> None:
        """Note a fatal error; the first one counts."""
        self.fatal = self.fatal or error
