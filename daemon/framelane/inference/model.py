"""A loaded model: its file, backend, head and labels."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.core.errors import ModelError
from framelane.core.frames import ModelInfo
from framelane.gpu.availability import why_absent
from framelane.inference.backends.cpu.backend import OnnxRuntimeBackend
from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.inference.backends.split_batches import SplitBatches
from framelane.models.artifact import Artifact
from framelane.models.batch_trial import BatchTrial
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.labels import choose_labels
from framelane.models.postprocess import Postprocessor
from framelane.models.sizing import size_wh as size_of
from framelane.models.trial import try_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from framelane.config.sections.model import ModelConfig
    from framelane.core.frames import Detections
    from framelane.inference.backends.runner import Runner
    from framelane.models.heads.head import Head
    from framelane.models.input.letterbox import Letterbox, SizeWH
    from framelane.models.input.spec import InputSpec

log = structlog.get_logger(__name__)


class Backend(Protocol):
    """Runs a model's graph; any number of threads may call it at once."""

    @property
    def best_batch(self) -> int:
        """The batch size to use if none is configured."""
        ...

    @property
    def best_slots(self) -> int:
        """The number of slots to use if none is configured."""
        ...

    @property
    def best_waiting(self) -> int:
        """The number of waiting frames per stream to use if none is configured."""
        ...

    def run(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Return raw outputs, each [n, ...], for images [n, 3, h, w]."""
        ...

    def runner(self, postprocess: Postprocessor, classes: int, batch: int) -> Runner:
        """Return a runner for one slot: batches of at most `batch` images, models with `classes` classes."""
        ...

    def close(self) -> None:
        """Free all resources, once every runner has been closed; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """What a backend needs to load a model."""

    name: str
    config: ModelConfig
    artifact: Artifact
    size_wh: SizeWH
    gpu: SharedGpu


def _tensorrt(load: Load) -> Backend:
    from framelane.inference.backends.cuda.backend import open_tensorrt  # noqa: PLC0415 - a CPU host lacks TensorRT

    return open_tensorrt(load.name, load.config, load.artifact, load.size_wh, load.gpu)


def _onnxruntime(load: Load) -> Backend:
    return OnnxRuntimeBackend(load.artifact)


# By name, fastest first: `auto` takes the first available.
BACKENDS: dict[str, Callable[[Load], Backend]] = {"tensorrt": _tensorrt, "onnxruntime": _onnxruntime}


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model, which threads may share.

    Attributes:
        info: what messages say about it.
        input: the input tensor's images.
        confidence: its own confidence threshold.
        backend: runs it.
        postprocess: turns its outputs into detections.
        own_gpu: the GPU, if it was opened for this model alone; otherwise never opened.
        batch: the batch size in use: the configured one or the backend's best, if the model handles it.
        batches: tells which other batch sizes it handles.
        doubts: sentences for operators about suspicious outputs.
    """

    info: ModelInfo
    input: InputSpec
    confidence: float
    backend: Backend
    postprocess: Postprocessor
    own_gpu: SharedGpu
    batch: int
    batches: BatchTrial
    doubts: tuple[str, ...] = ()

    @property
    def head(self) -> Head:
        """The layout of its outputs."""
        return self.postprocess.head

    def infer(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Return raw outputs for images [n, 3, h, w] in the format of `input`."""
        return self.backend.run(batch)

    def detect(
        self,
        batch: NDArray[np.generic],
        letterboxes: Sequence[Letterbox],
        filters: Sequence[ClassFilter],
    ) -> list[Detections]:
        """Return each image's detections, in source pixels."""
        return self.postprocess(self.infer(batch), letterboxes, filters)

    def filter(
        self, classes: Sequence[str] | None = None, confidence: float | Mapping[str, float] | None = None
    ) -> ClassFilter:
        """Return the filter of a stream with these options."""
        return ClassFilter.build(self.info.labels, classes, confidence, self.confidence)

    def runner(self, batch: int) -> Runner:
        """Return a runner for one slot, for batches of at most `batch` images.

        Raises:
            ModelError: the model can't run batches of this size.
        """
        most = self.batches.most(batch)
        if most < batch and batch > self.batch:
            log.warning("model_doubtful", model=self.info.name, text=self.batches.doubt)
        runner = self.backend.runner(self.postprocess, len(self.info.labels), most)
        return runner if most == batch else SplitBatches(runner, most)

    def close(self) -> None:
        """Free the backend's resources, once every runner has been closed."""
        self.backend.close()
        self.own_gpu.close()


def load_model(name: str, config: ModelConfig, gpu: SharedGpu | None = None) -> Model:
    """Load a configured model and try it: on single images, and on batches of the size in use.

    Args:
        name: the model's key.
        config: its section; a relative path starts at the working directory.
        gpu: the GPU to use if the model runs on one; GPU 0 by default.

    Raises:
        ModelError: the file can't be loaded or fits no head, its outputs can't be right, or its labels
            don't fit the head.
    """
    artifact = Artifact.open(config.path).read_as(config.head)
    size_wh = size_of(artifact, config)
    backend_name = _backend_name(name, config)
    own_gpu = SharedGpu()
    with ExitStack() as guard:
        guard.callback(own_gpu.close)
        backend = BACKENDS[backend_name](Load(name, config, artifact, size_wh, gpu or own_gpu))
        guard.callback(backend.close)
        trial = try_model(backend.run, artifact, size_wh, config)
        head = trial.head
        file = os.fspath(artifact.path)
        labels = choose_labels(config.labels, artifact.metadata, head.classes, file)
        batches = BatchTrial(backend.run, trial, artifact.batch)
        batch = batches.most(config.batch or backend.best_batch)
        guard.pop_all()
    doubts = (*trial.doubts, *([] if batches.doubt is None else [batches.doubt]))
    for text in doubts:
        log.warning("model_doubtful", model=name, path=file, text=text)
    if artifact.changed is not None:
        log.info("model_changed", model=name, path=file, text=artifact.changed)
    info = ModelInfo(name, artifact.hash, backend_name, labels)
    log.info(
        "model_loaded", model=name, path=file, hash=artifact.hash, backend=backend_name, head=head.name,
        size=f"{size_wh[0]}x{size_wh[1]}", classes=len(labels), batch=artifact.batch or "any",
    )  # fmt: skip
    postprocess = Postprocessor(head, config.iou, config.max_det)
    return Model(info, head.input, config.confidence, backend, postprocess, own_gpu, batch, batches, doubts)


def _backend_name(name: str, config: ModelConfig) -> str:
    """Choose the backend of a model.

    `auto` falls back only if the GPU, its driver or a library is missing. An engine that can't be built or
    loaded is an error: a GPU host must not run on its CPU unnoticed.
    """
    if config.backend == "onnxruntime":
        return config.backend
    reason = why_absent()
    if reason is None:
        return "tensorrt"
    if config.backend == "tensorrt":
        raise ModelError(f"{config.path} can't run with `backend: tensorrt`: {reason}")
    log.info("backend_fallback", model=name, backend="onnxruntime", reason=reason)
    return "onnxruntime"
