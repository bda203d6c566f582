"""A model's raw outputs and a slot's memory on a real GPU."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import av
import numpy as np
import pytest
from tests.gpu.device.here import needs_gpu

from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.inference.model import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.config.sections.model import ModelConfig
    from framelane.inference.backends.cuda.backend import TensorRtBackend
    from framelane.inference.backends.cuda.runner import CudaRunner
    from framelane.inference.model import Model

# Building the engine is part of the first test.
pytestmark = [pytest.mark.gpu, needs_gpu, pytest.mark.timeout(580)]

SLACK_BYTES = 64 << 20  # other processes, and what the driver keeps
ROUNDS = 50


@pytest.fixture(scope="module")
def site() -> Iterator[SharedGpu]:
    site = SharedGpu()
    yield site
    site.close()


@pytest.fixture(scope="module")
def model(demo_model: ModelConfig, site: SharedGpu) -> Iterator[Model]:
    model = load_model("demo", demo_model, site)
    yield model
    model.close()


def noise(model: Model, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(5).random(model.input.shape(count), np.float32) * np.float32(
        255 * model.input.scale
    )


def picture(level: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((360, 640), level, np.uint8), format="gray")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_raw_outputs_do_not_depend_on_the_batch(model: Model, count: int) -> None:
    pictures = noise(model, count)
    together = model.infer(pictures)
    for row in range(count):
        alone = model.infer(pictures[row : row + 1])
        for one, other in zip(alone, together, strict=True):
            assert one.shape[1:] == other.shape[1:]
            assert np.isfinite(other).all()
            spread = float(np.abs(one).max())
            np.testing.assert_allclose(one[0], other[row], atol=0.02 * spread)


def test_slots_on_threads_of_their_own_agree(model: Model) -> None:
    pictures = [picture(level) for level in (20, 120, 220, 255)]
    found: dict[int, list[list[int]]] = {}

    def run(number: int) -> None:
        runner = model.runner(4)
        runner.open()
        try:
            counts = []
            for round_ in range(ROUNDS):
                size = 1 + (round_ + number) % 4
                wanted = [model.filter()] * size
                counts.append(
                    [len(each) for each in runner.detect(pictures[:size], wanted, [None] * size).detections]
                )
            found[number] = counts
        finally:
            runner.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(found) == [0, 1, 2]
    for number, counts in found.items():
        assert [len(each) for each in counts] == [1 + (round_ + number) % 4 for round_ in range(ROUNDS)]


def test_a_closed_slot_leaves_no_memory(model: Model, site: SharedGpu) -> None:
    def once() -> int:
        runner = model.runner(4)
        runner.open()
        runner.close()
        return site.device.memory_used()

    once()  # copies of the engine that TensorRT before 8.6 wants stay for the next slot
    before = once()
    for _ in range(5):
        after = once()
    assert after - before < SLACK_BYTES


def test_the_graph_can_be_replayed_alone(model: Model) -> None:
    runner = cast("CudaRunner", model.runner(4))
    runner.open()
    try:
        for count in (1, 4, 2):
            runner.replay(count)
        assert runner.device_bytes > 0
    finally:
        runner.close()
    assert cast("TensorRtBackend", model.backend).engine.copies >= 1
