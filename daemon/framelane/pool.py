"""The models in use, each loaded when the first stream names it, with its slots and the lanes of its streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.inference.batcher import Batcher
from framelane.inference.class_filter import ClassFilter, label_findings
from framelane.inference.lanes import Lane, Lanes
from framelane.inference.letterbox import Crop
from framelane.inference.model import load_model
from framelane.inference.worker import ModelWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.config.schema import Config, ModelConfig, StreamConfig
    from framelane.core.clock import Clock
    from framelane.core.errors import Finding, FramelaneError
    from framelane.core.frames import Result
    from framelane.inference.cuda.site import CudaSite
    from framelane.inference.lanes import LaneMeter
    from framelane.inference.model import Model
    from framelane.telemetry.meters import Meters


@dataclass(frozen=True, slots=True)
class Hooks:
    """Where results and news of all models go.

    Attributes:
        deliver: each result, one at a time a model, in the order of frames.
        dropped: stream and reason of each frame that a batcher gave up.
        fatal: an error after which only a new process can go on.
        others: lanes of what is no stream of ours, by name; None for what is nobody's.
    """

    deliver: Callable[[Result], None]
    dropped: Callable[[str, str], None]
    fatal: Callable[[FramelaneError], None]
    others: Callable[[str], Lane | None]


class ModelPool:
    """Loads models, runs them and closes them. One that no stream uses any more stays: it may be wanted again.

    Args:
        gpu: the GPU of this process.
        meters: for a meter of each model.
        clock: for batchers and slots.
        hooks: where results go.
    """

    def __init__(self, gpu: CudaSite, meters: Meters, clock: Clock, hooks: Hooks) -> None:
        self.workers: Mapping[str, ModelWorker] = {}
        """By key in the configuration; replaced when it grows, so that others may go through it meanwhile."""
        self.sections: Mapping[str, ModelConfig] = {}
        """What each of them was started as, likewise."""
        self._gpu = gpu
        self._meters = meters
        self._clock = clock
        self._hooks = hooks
        self._models: dict[str, Model] = {}
        self._lanes: dict[str, Lanes] = {}

    def load(self, config: Config) -> None:
        """Load what enabled streams name and does not run yet.

        Raises:
            ModelError: a model can't be loaded.
        """
        for key in [key for key in self._models if key not in self.workers]:
            self._models.pop(key).close()  # of a change that was refused; the next may want it otherwise
        used = {key for stream in config.streams if stream.enabled for key in stream.model_keys}
        for key, section in config.models.items():
            if key in used and key not in self._models:
                self._models[key] = load_model(key, section, self._gpu)

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Names of what each loaded model finds."""
        return {key: model.info.labels for key, model in self._models.items()}

    def start(self, sections: Mapping[str, ModelConfig]) -> None:
        """Start the slots of every loaded model that has none yet; returns when they have opened.

        Raises:
            FramelaneError: what kept a slot from opening; that model has none then.
        """
        for key in [key for key in self._models if key not in self.workers]:
            worker = self._worker(key, self._models[key], sections[key])
            worker.start(sections[key].slots)
            self._meters.model(worker.model.info.name).slots_opened(worker.slots)
            self.sections = {**self.sections, key: sections[key]}
            self.workers = {**self.workers, key: worker}

    def admit(self, stream: StreamConfig, meter: LaneMeter) -> None:
        """Open the stream's lanes in its models, and close those in others."""
        for key, lanes in self._lanes.items():
            if key in stream.model_keys:
                wanted = self._models[key].filter(stream.classes, stream.confidence)
                lanes.open(stream.id, Lane(wanted, meter, Crop.of(stream.crop)))
            else:
                lanes.close(stream.id)

    def dismiss(self, stream: str) -> None:
        """Close the stream's lanes."""
        for lanes in self._lanes.values():
            lanes.close(stream)

    def stop(self, left_s: Callable[[], float]) -> bool:
        """Infer what waits, model by model, each within the seconds that are left; True if every slot has ended."""
        ended = [worker.stop(left_s()) for worker in self.workers.values()]
        return all(ended)

    def close(self) -> None:
        """Free the models; no slot may run any more."""
        for model in self._models.values():
            model.close()

    def _worker(self, key: str, model: Model, section: ModelConfig) -> ModelWorker:
        batch = section.batch or model.backend.best_batch
        waiting = section.waiting or model.backend.best_waiting
        batcher = Batcher(batch, section.linger_ms / 1e3, self._clock, self._hooks.dropped, waiting)
        nothing = np.full(len(model.info.labels), np.inf, np.float32)
        self._lanes[key] = Lanes(ClassFilter.of(nothing), self._hooks.others)
        meter = self._meters.model(model.info.name)
        lane_of, hooks = self._lanes[key].of, self._hooks
        return ModelWorker(model, batcher, lane_of, meter, hooks.deliver, self._clock, hooks.fatal)


def unknown_labels(config: Config, labels: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    """What enabled streams ask for and none of their models knows, as far as the models' labels are known."""
    findings: list[Finding] = []
    for index, stream in enumerate(config.streams):
        known = {key: labels[key] for key in stream.model_keys if key in labels}
        if stream.enabled and len(known) == len(stream.model_keys):
            findings += label_findings(f"streams[{index}]", known, stream.classes, stream.confidence)
    return findings
