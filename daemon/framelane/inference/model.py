"""A model ready to run: its file, its backend, its head and its labels put together."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import structlog

from framelane.core.errors import ModelError
from framelane.core.frames import ModelInfo
from framelane.gpu.present import why_absent
from framelane.inference.artifact import Artifact
from framelane.inference.class_filter import ClassFilter
from framelane.inference.cuda.site import CudaSite
from framelane.inference.heads.recognise import Sample, recognise
from framelane.inference.labels import choose_labels
from framelane.inference.postprocess import Postprocessor
from framelane.inference.session import OnnxSession
from framelane.inference.sizing import size_wh as size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from framelane.config.schema import ModelConfig
    from framelane.core.frames import Detections
    from framelane.inference.heads.head import Head
    from framelane.inference.inputs import InputSpec
    from framelane.inference.letterbox import Letterbox, SizeWH
    from framelane.inference.runner import Runner

log = structlog.get_logger(__name__)

_GREY = 114


class Backend(Protocol):
    """What runs a model's graph; any number of threads may call it at once."""

    @property
    def best_batch(self) -> int:
        """The batch size that suits it, where the configuration asks for none."""
        ...

    @property
    def best_slots(self) -> int:
        """The batches in flight that suit it, where the configuration asks for none."""
        ...

    @property
    def best_waiting(self) -> int:
        """The waiting frames a stream that suit it, where the configuration asks for none."""
        ...

    def run(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Raw outputs, each [n, ...], for pictures [n, 3, h, w]."""
        ...

    def runner(self, postprocess: Postprocessor, classes: int, batch: int) -> Runner:
        """What takes a slot's batches, of at most `batch` pictures, to detections of so many classes."""
        ...

    def close(self) -> None:
        """Free what it holds, once every runner has been closed; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """A model on its way to a backend."""

    name: str
    config: ModelConfig
    artifact: Artifact
    size_wh: SizeWH
    site: CudaSite


def _tensorrt(load: Load) -> Backend:
    from framelane.inference.cuda.tensorrt_model import open_tensorrt  # noqa: PLC0415 - a CPU host lacks TensorRT

    return open_tensorrt(load.name, load.config, load.artifact, load.size_wh, load.site)


def _onnxruntime(load: Load) -> Backend:
    return OnnxSession(load.artifact)


# By name, fastest first: `auto` takes the first that can be had.
BACKENDS: dict[str, Callable[[Load], Backend]] = {"tensorrt": _tensorrt, "onnxruntime": _onnxruntime}


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model; threads may share one.

    Attributes:
        info: what consumers learn of it.
        input: the pictures it wants.
        confidence: its own least confidence.
        backend: what runs it.
        postprocess: what makes detections of its outputs.
        own_site: the GPU, where it was opened for this model alone; else nothing is open in it.
    """

    info: ModelInfo
    input: InputSpec
    confidence: float
    backend: Backend
    postprocess: Postprocessor
    own_site: CudaSite

    @property
    def head(self) -> Head:
        """The layout of its outputs."""
        return self.postprocess.head

    def infer(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Raw outputs for pictures [n, 3, h, w] as `input` says."""
        return self.backend.run(batch)

    def detect(
        self,
        batch: NDArray[np.generic],
        letterboxes: Sequence[Letterbox],
        filters: Sequence[ClassFilter],
    ) -> list[Detections]:
        """The detections of every picture of a batch, in source pixels."""
        return self.postprocess(self.infer(batch), letterboxes, filters)

    def filter(
        self, classes: Sequence[str] | None = None, confidence: float | Mapping[str, float] | None = None
    ) -> ClassFilter:
        """What a stream with these options wants of this model."""
        return ClassFilter.build(self.info.labels, classes, confidence, self.confidence)

    def runner(self, batch: int) -> Runner:
        """What takes a slot's pictures, at most `batch` at once, to detections."""
        return self.backend.runner(self.postprocess, len(self.info.labels), batch)

    def close(self) -> None:
        """Free what the backend holds, once every runner has been closed."""
        self.backend.close()
        self.own_site.close()


def load_model(name: str, config: ModelConfig, site: CudaSite | None = None) -> Model:
    """Load a model as the configuration says; it has run once when this returns.

    Args:
        name: the model's key.
        config: its section; the path starts at the working directory.
        site: the GPU to use if the model goes there; GPU 0 by default.

    Raises:
        ModelError: it can't be loaded, fits no head, or its labels don't fit its head.
    """
    artifact = Artifact.open(config.path)
    size_wh = size_of(artifact, config)
    backend_name = _backend_name(name, config)
    own_site = CudaSite()
    with ExitStack() as guard:
        guard.callback(own_site.close)
        backend = BACKENDS[backend_name](Load(name, config, artifact, size_wh, site or own_site))
        guard.callback(backend.close)
        head = _recognise(backend, artifact, size_wh, config.head)
        file = os.fspath(artifact.path)
        labels = choose_labels(config.labels, artifact.metadata, head.classes, file)
        guard.pop_all()
    info = ModelInfo(name, artifact.hash, backend_name, labels)
    log.info(
        "model_loaded", model=name, path=file, hash=artifact.hash, backend=backend_name, head=head.name,
        size=f"{size_wh[0]}x{size_wh[1]}", classes=len(labels), batch=artifact.batch or "any",
    )  # fmt: skip
    postprocess = Postprocessor(head, config.iou, config.max_det)
    return Model(info, head.input, config.confidence, backend, postprocess, own_site)


def _recognise(backend: Backend, artifact: Artifact, size_wh: SizeWH, setting: str) -> Head:
    """The model's head, from what it makes of a grey picture."""
    outputs = backend.run(_grey(artifact.dtype, size_wh))
    names = [spec.name for spec in artifact.outputs]
    file = os.fspath(artifact.path)
    return recognise(Sample(file, size_wh, artifact.dtype, artifact.metadata, names, outputs), setting)


def _backend_name(name: str, config: ModelConfig) -> str:
    """What runs a model.

    `auto` falls back only where the GPU, its driver or a library is missing. An engine that can't be built or loaded
    is an error: a GPU host must not run on its CPU unnoticed.
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


def _grey(dtype: str, size_wh: SizeWH) -> NDArray[np.generic]:
    value = _GREY if dtype == "uint8" else _GREY / 255
    return np.full((1, 3, size_wh[1], size_wh[0]), value, dtype)
