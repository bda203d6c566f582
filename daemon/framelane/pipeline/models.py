"""The models in use: each is loaded when a stream first names it, and stays loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.config.second_models import firsts_first, second_models, used_models
from framelane.inference.batcher import Batcher
from framelane.inference.model import load_model
from framelane.inference.worker import ModelWorker
from framelane.pipeline.cascade import Cascade, CascadeOptions
from framelane.pipeline.tracking import TrackingStage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config
    from framelane.core.clock import Clock
    from framelane.core.errors import FramelaneError
    from framelane.footage.footage import Footage
    from framelane.inference.backends.cuda.shared_gpu import SharedGpu
    from framelane.inference.model import Model
    from framelane.messages.detections import Origin
    from framelane.telemetry.meters import Meters


class ModelPool:
    """Loads, runs and closes models. Unused models stay loaded, because a stream may use them again.

    Args:
        gpu: the GPU of this process.
        meters: holds each model's meter.
        clock: the clock of batchers and slots.
        fatal: called with an error that only a new process can recover from.
        origin: the node and the run, for the ids of objects.
        footage: makes snapshots and clips, and receives what happens to objects.
    """

    def __init__(
        self,
        gpu: SharedGpu,
        meters: Meters,
        clock: Clock,
        fatal: Callable[[FramelaneError], None],
        origin: Origin,
        footage: Footage,
    ) -> None:
        self.workers: Mapping[str, ModelWorker] = {}
        """By key in the configuration.

        The mapping is replaced when it grows, so that other threads may iterate over it.
        """
        self.sections: Mapping[str, ModelConfig] = {}
        """The section that each model was started with; replaced likewise."""
        self._gpu = gpu
        self._meters = meters
        self._clock = clock
        self._fatal = fatal
        self._origin = origin
        self._footage = footage
        self._models: dict[str, Model] = {}
        self._stages: dict[str, TrackingStage] = {}

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """The class names of each loaded model."""
        return {key: model.info.labels for key, model in self._models.items()}

    def load(self, config: Config, *, every_model: bool = False) -> None:
        """Load models that are not loaded yet: those of enabled streams, or all.

        Raises:
            ModelError: a model can't be loaded.
        """
        # Close models of a refused change; the next change may configure them differently.
        for key in [key for key in self._models if key not in self.workers]:
            self._models.pop(key).close()
        used = used_models(config)
        for key in firsts_first(config.models):
            if (every_model or key in used) and key not in self._models:
                self._models[key] = load_model(key, config.models[key], self._gpu)

    def start(self, sections: Mapping[str, ModelConfig]) -> None:
        """Start the slots of every loaded model that has none, and wait until they have opened.

        Raises:
            FramelaneError: a slot could not open; its model has no slots then.
        """
        for key in [key for key in self._models if key not in self.workers]:
            worker = self._worker(key, self._models[key], sections[key])
            # One that looks at objects must not take more than a core from the models that find them.
            worker.start(sections[key].slots or (0 if sections[key].of is None else 1))
            self._meters.model(worker.model.info.name).slots_opened(worker.slots)
            self.sections = {**self.sections, key: sections[key]}
            self.workers = {**self.workers, key: worker}

    def follow(self, sections: Mapping[str, ModelConfig]) -> None:
        """Have second models look at objects as these sections say, from the next frame on."""
        for first, worker in self.workers.items():
            stage = self._stages[first]
            before = {cascade.name: cascade for cascade in stage.seconds.cascades}
            cascades = []
            for key in second_models(sections, first):
                if key not in self.workers:
                    continue
                options = CascadeOptions.of(sections[key], self._models[first].info.labels)
                cascade = before.get(key) or Cascade(key, self.workers[key], worker, options, self._clock)
                cascade.options = options
                cascades.append(cascade)
            stage.seconds.cascades = tuple(cascades)
            worker.pictured = max((each.options.objects for each in cascades), default=0)

    def workers_for(self, keys: Sequence[str], *, track: bool) -> list[ModelWorker]:
        """Return a stream's models, given by key, and those that look at their objects if it has tracks."""
        seconds = [cascade.worker for key in keys for cascade in self._stages[key].seconds.cascades]
        return [*(self.workers[key] for key in keys), *(seconds if track else ())]

    def forget(self, stream: str) -> None:
        """End the tracks of a removed stream."""
        for stage in list(self._stages.values()):
            stage.forget(stream)

    def stop(self, left_s: Callable[[], float]) -> bool:
        """Drain each model within the seconds that `left_s` returns; return True if every slot has ended."""
        ended = [worker.stop(left_s()) for worker in self.workers.values()]
        return all(ended)

    def close(self) -> None:
        """Free the models; all slots must have ended."""
        for model in self._models.values():
            model.close()

    def _worker(self, key: str, model: Model, section: ModelConfig) -> ModelWorker:
        waiting = section.waiting or model.backend.best_waiting
        crops = section.of is not None
        batcher = Batcher(model.batch, section.linger_ms / 1e3, self._clock, waiting, crops=crops)
        album = self._footage.album(key)
        stage = TrackingStage(key, self._origin, self._footage, self._clock, album)
        self._stages[key] = stage
        meter = self._meters.model(model.info.name)
        return ModelWorker(model, batcher, meter, self._clock, self._fatal, stage)
