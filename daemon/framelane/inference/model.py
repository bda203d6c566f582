"""A model ready to run: its file, its backend, its head and its labels put together."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import structlog

from framelane.core.errors import ModelError
from framelane.core.frames import ModelInfo
from framelane.inference.artifact import Artifact
from framelane.inference.class_filter import ClassFilter
from framelane.inference.heads.recognise import Sample, recognise
from framelane.inference.labels import choose_labels
from framelane.inference.postprocess import Postprocessor
from framelane.inference.session import OnnxSession

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from framelane.config.schema import ModelConfig
    from framelane.core.frames import Detections
    from framelane.inference.heads.head import Head
    from framelane.inference.inputs import InputSpec
    from framelane.inference.letterbox import Letterbox, SizeWH

log = structlog.get_logger(__name__)

_GREY = 114


class Backend(Protocol):
    """What runs a model's graph; any number of threads may call it at once."""

    @property
    def best_batch(self) -> int:
        """The batch size that suits it, where the configuration asks for none."""
        ...

    def run(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Raw outputs, each [n, ...], for pictures [n, 3, h, w]."""
        ...


# By name, fastest first: `auto` takes the first.
BACKENDS: dict[str, Callable[[Artifact, ModelConfig], Backend]] = {
    "onnxruntime": lambda artifact, _config: OnnxSession(artifact),
}


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model; threads may share one.

    Attributes:
        info: what consumers learn of it.
        input: the pictures it wants.
        confidence: its own least confidence.
        backend: what runs it.
        postprocess: what makes detections of its outputs.
    """

    info: ModelInfo
    input: InputSpec
    confidence: float
    backend: Backend
    postprocess: Postprocessor

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

    def warm_up(self, batch: int) -> None:
        """Run once at a size, so that the first frames don't wait for memory and code to be touched."""
        self.infer(_grey(self.input.dtype, self.input.size_wh, batch))


def load_model(name: str, config: ModelConfig) -> Model:
    """Load a model as the configuration says; it has run once when this returns.

    Args:
        name: the model's key.
        config: its section; the path starts at the working directory.

    Raises:
        ModelError: it can't be loaded, fits no head, or its labels don't fit its head.
    """
    artifact = Artifact.open(config.path)
    size_wh = _size_wh(artifact, config)
    backend_name = next(iter(BACKENDS)) if config.backend == "auto" else config.backend
    backend = BACKENDS[backend_name](artifact, config)
    file = os.fspath(artifact.path)
    outputs = backend.run(_grey(artifact.dtype, size_wh, 1))
    names = [spec.name for spec in artifact.outputs]
    head = recognise(Sample(file, size_wh, artifact.dtype, artifact.metadata, names, outputs), config.head)
    labels = choose_labels(config.labels, artifact.metadata, head.classes, file)
    info = ModelInfo(name, artifact.hash, backend_name, labels)
    log.info(
        "model_loaded", model=name, path=file, hash=artifact.hash, backend=backend_name, head=head.name,
        size=f"{size_wh[0]}x{size_wh[1]}", classes=len(labels), batch=artifact.batch or "any",
    )  # fmt: skip
    postprocess = Postprocessor(head, config.iou, config.max_det)
    return Model(info, head.input, config.confidence, backend, postprocess)


def _size_wh(artifact: Artifact, config: ModelConfig) -> SizeWH:
    """The input's size: the file's own, or the configuration's, or the one its exporter noted."""
    asked = None if config.size is None else (config.size[0], config.size[1])
    fixed = artifact.size_wh
    if fixed is not None:
        if asked not in (None, fixed):
            raise ModelError(
                f"{artifact.path} takes {artifact.image}; `size: {list(config.size or ())}` "
                "can't change what the file fixes"
            )
        return fixed
    size_wh = asked or _noted_size_wh(artifact.metadata)
    if size_wh is None:
        raise ModelError(
            f"{artifact.path} takes {artifact.image} and leaves the size open; "
            "set `size: [width, height]` to what it was trained on"
        )
    return size_wh


def _noted_size_wh(metadata: Mapping[str, str]) -> SizeWH | None:
    """Ultralytics' `imgsz`, [height, width]."""
    try:
        height, width = ast.literal_eval(metadata.get("imgsz", ""))
    except (ValueError, SyntaxError, TypeError):
        return None
    return int(width), int(height)


def _grey(dtype: str, size_wh: SizeWH, batch: int) -> NDArray[np.generic]:
    value = _GREY if dtype == "uint8" else _GREY / 255
    return np.full((batch, 3, size_wh[1], size_wh[0]), value, dtype)
