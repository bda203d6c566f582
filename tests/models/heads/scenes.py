"""Objects that the tests of heads look for, in files and in outputs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.tiny_models import SIZE_WH, Box

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.inference.model import load_model
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.heads.kind import Output, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.inference.model import Model
    from framelane.models.heads.head import Candidates
    from framelane.models.input.letterbox import Letterbox
    from framelane.models.input.spec import PixelType

    Array = NDArray[np.float32]

SOURCE_WH = (1280, 720)
LABELS = ["person", "bicycle", "car"]
PERSON = Box((20, 30, 60, 90), 0, 0.9)
WEAKER_PERSON = Box((22, 31, 61, 92), 0, 0.7)
CAR_IN_FRONT = Box((21, 30, 62, 90), 2, 0.6)
FAINT_BICYCLE = Box((90, 40, 130, 80), 1, 0.3)
SCENE = [WEAKER_PERSON, PERSON, CAR_IN_FRONT, FAINT_BICYCLE]
# What of the scene passes a model's own threshold, best first, if nothing is suppressed.
UNSUPPRESSED = [PERSON, WEAKER_PERSON, CAR_IN_FRONT]
SEEN_UNSUPPRESSED = [(0, 0.9), (0, 0.7), (2, 0.6)]


def load(path: Path, **options: Any) -> Model:
    return load_model("tiny", ModelConfig(path=str(path), **{"labels": LABELS, **options}))


def detect(
    model: Model, wanted: ClassFilter | None = None, batch: int = 1
) -> tuple[Letterbox, list[Detections]]:
    spec = model.input
    letterbox = spec.letterbox(SOURCE_WH)
    filters = [wanted or model.filter()] * batch
    return letterbox, model.detect(np.zeros(spec.shape(batch), spec.dtype), [letterbox] * batch, filters)


def seen(detections: Detections) -> list[tuple[int, float]]:
    """What was found, as (class, confidence)."""
    return [
        (int(class_id), round(float(confidence), 2))
        for class_id, confidence in zip(detections.class_id, detections.confidence, strict=True)
    ]


def refusal(path: Path, outputs: list[Array], metadata: dict[str, str] | None = None, **options: Any) -> str:
    tiny_models.save(path / "m.onnx", outputs, metadata=metadata)
    with pytest.raises(ModelError) as caught:
        load(path / "m.onnx", **options)
    return str(caught.value).replace(str(path / "m.onnx"), "FILE")


def sample_of(
    *outputs: Array,
    names: int | None = 3,
    size_wh: tuple[int, int] = SIZE_WH,
    dtype: PixelType = "float32",
    metadata: Mapping[str, str] | None = None,
) -> Sample:
    """What a model gives for one trial image."""
    named = tuple(Output(number, f"output{number}", (each,)) for number, each in enumerate(outputs))
    return Sample("FILE", size_wh, dtype, metadata or {}, named, names)


def table(*rows: list[float]) -> Array:
    """One image's rows."""
    return np.array([rows], np.float32)


def wanting(*thresholds: float) -> ClassFilter:
    """The least confidence of each class."""
    return ClassFilter.of(np.array(thresholds, np.float32))


def told(candidates: Candidates) -> list[tuple[list[float], float, int]]:
    """Corners, confidence and class of each."""
    return [
        (box.round(2).tolist(), round(float(confidence), 3), int(class_id))
        for box, confidence, class_id in zip(
            candidates.xyxy, candidates.confidence, candidates.class_id, strict=True
        )
    ]
