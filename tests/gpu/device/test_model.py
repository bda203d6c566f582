"""A model through TensorRT and our kernels, against the same model on the CPU."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from tests.gpu.device.here import needs_gpu

from framelane.inference.model import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.config.sections.model import ModelConfig
    from framelane.core.frames import Detections
    from framelane.inference.backends.runner import Runner
    from framelane.inference.model import Model

    Array = NDArray[np.float32]

# Building the engine is part of the first test.
pytestmark = [pytest.mark.gpu, needs_gpu, pytest.mark.timeout(580)]

SURE = 0.5
OVERLAP = 0.85
CONFIDENCE = 0.05


@pytest.fixture(scope="module")
def on_gpu(demo_model: ModelConfig) -> Iterator[Model]:
    model = load_model("demo", demo_model)
    yield model
    model.close()


@pytest.fixture(scope="module")
def on_cpu(demo_model: ModelConfig) -> Iterator[Model]:
    model = load_model("demo", demo_model.model_copy(update={"backend": "onnxruntime"}))
    yield model
    model.close()


@pytest.fixture(scope="module")
def pictures(footage: Path) -> list[av.VideoFrame]:
    with av.open(str(footage / "h264.mp4")) as container:
        return list(container.decode(video=0))[::6]


@contextmanager
def opened(model: Model, batch: int) -> Iterator[Runner]:
    runner = model.runner(batch)
    try:
        runner.open()
        yield runner
    finally:
        runner.close()


def detect(model: Model, pictures: list[av.VideoFrame], batch: int) -> list[Detections]:
    found: list[Detections] = []
    with opened(model, batch) as runner:
        for start in range(0, len(pictures), batch):
            given = pictures[start : start + batch]
            count = len(given)
            found += runner.detect(given, [model.filter()] * count, [None] * count).detections
            assert given == []
    return found


def overlaps(one: Array, others: Array) -> Array:
    corner = np.maximum(one[:2], others[:, :2])
    size = np.clip(np.minimum(one[2:], others[:, 2:]) - corner, 0, None)
    shared: Array = size.prod(axis=1)
    overlap: Array = shared / (
        (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    )
    return overlap


def missing(expected: Detections, actual: Detections) -> int:
    """Sure detections of the one that the other has not."""
    count = 0
    for box, confidence, label in zip(expected.xyxy, expected.confidence, expected.class_id, strict=True):
        alike = (actual.class_id == label) & (np.abs(actual.confidence - confidence) < CONFIDENCE)
        if confidence >= SURE and not (alike & (overlaps(box, actual.xyxy) > OVERLAP)).any():
            count += 1
    return count


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_finds_what_the_cpu_finds(
    on_gpu: Model, on_cpu: Model, pictures: list[av.VideoFrame], batch: int
) -> None:
    expected, actual = detect(on_cpu, pictures, 1), detect(on_gpu, pictures, batch)

    assert on_gpu.info.backend == "tensorrt"
    assert sum(len(each) for each in expected) > 20
    assert [0] * len(pictures) == [missing(one, other) for one, other in zip(expected, actual, strict=True)]
    assert [0] * len(pictures) == [missing(other, one) for one, other in zip(expected, actual, strict=True)]


def test_two_slots_work_at_once(on_gpu: Model, pictures: list[av.VideoFrame]) -> None:
    wanted, crops = [on_gpu.filter()] * 2, [None] * 2
    with opened(on_gpu, 4) as one, opened(on_gpu, 4) as other:
        for _ in range(20):
            first = one.detect(pictures[:2], wanted, crops).detections
            second = other.detect(pictures[:2], wanted, crops).detections
            assert len(first[0]) == len(second[0])


def test_results_are_the_same_when_a_slot_is_used_again(on_gpu: Model, pictures: list[av.VideoFrame]) -> None:
    wanted, crops = [on_gpu.filter()] * 4, [None] * 4
    with opened(on_gpu, 4) as runner:
        first = runner.detect(pictures[:4], wanted, crops).detections
        runner.detect(pictures[4:5], wanted[:1], crops[:1])
        again = runner.detect(pictures[:4], wanted, crops).detections

    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.xyxy, other.xyxy)
        np.testing.assert_array_equal(one.confidence, other.confidence)


def test_engine_is_reused_when_it_fits(demo_model: ModelConfig, on_gpu: Model, engine_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in engine_folder.glob("*.engine")}

    load_model("demo", demo_model).close()

    assert before
    assert before == {path: path.stat().st_mtime_ns for path in engine_folder.glob("*.engine")}
