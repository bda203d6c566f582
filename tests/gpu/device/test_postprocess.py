"""Box decoding and suppression in a CUDA graph: it follows its tables, and how long it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.gpu.device.here import needs_gpu
from tests.gpu.machines import GpuMachine

from framelane.inference.backends.cuda.head_spec import HeadSpec, ScoresSpec
from framelane.inference.backends.cuda.plane_table import PICTURE
from framelane.inference.backends.cuda.postprocess import Postprocess, PostprocessAddresses
from framelane.inference.backends.cuda.results import detections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

pytestmark = [pytest.mark.gpu, needs_gpu]

BATCH, ANCHORS, CLASSES = 16, 8400, 80
HEAD = HeadSpec("columns", ANCHORS, 4 + CLASSES, 0, CLASSES, "float16", overlapping=True, input_wh=(640, 640))
OBB = replace(HEAD, values=HEAD.values + 1, extra=5, rotated=True)
NAS = replace(
    HEAD, layout="scored", values=4, scores=ScoresSpec(CLASSES, "float16", logits=False, unit=False)
)
REPEATS = 50


@pytest.fixture(scope="module")
def machine() -> Iterator[GpuMachine]:
    with GpuMachine() as gpu:
        yield gpu


def output_with(strong: int, seed: int = 0) -> NDArray[np.float16]:
    """Pictures with that many strong anchors each, 20 objects at most."""
    rng = np.random.default_rng(seed)
    output = np.full((BATCH, 4 + CLASSES, ANCHORS), 0.01, np.float16)
    objects = rng.uniform([50, 50, 30, 30], [590, 590, 200, 200], (20, 4))
    for picture in output:
        columns = rng.permutation(ANCHORS)[:strong]
        which = rng.integers(0, 20, strong)
        picture[:4, columns] = (objects[which] + rng.normal(0, 2, (strong, 4))).T
        picture[4 + which, columns] = rng.uniform(0.4, 0.95, strong)
    return output


def as_obb(output: NDArray[np.float16]) -> NDArray[np.float16]:
    """The same boxes, turned by up to a quarter."""
    angles = np.random.default_rng(1).uniform(0, 1.5, (BATCH, 1, ANCHORS))
    return np.concatenate([output, angles.astype(np.float16)], axis=1)


def addresses(
    machine: GpuMachine, plan: Postprocess, output: NDArray[Any], live: int = BATCH
) -> PostprocessAddresses:
    scores = output
    if plan.head.layout == "scored":
        output, scores = np.split(np.ascontiguousarray(output.swapaxes(1, 2)), [4], axis=2)
        output[..., 2:] += output[..., :2]
    table = np.zeros(BATCH, PICTURE)
    table["factor"], table["limit"] = 3, 1920
    thresholds = np.full((BATCH, CLASSES), 0.25, np.float32)
    return PostprocessAddresses(
        output=machine.put(output),
        thresholds=machine.put(thresholds),
        table=machine.put(table),
        live=machine.put(np.array([live], np.int32)),
        work=machine.put(np.full(plan.workspace_bytes, 0xA5, np.uint8)),
        result=machine.put(np.full(plan.result_shape, np.nan, np.float32)),
        details=machine.put(np.zeros(max(plan.details_bytes, 1), np.uint8)),
        scores=machine.put(scores),
        columns=machine.put(np.arange(CLASSES, dtype=np.int32)),
    )


def test_a_graph_follows_its_tables(machine: GpuMachine) -> None:
    from framelane.gpu.graph import capture  # noqa: PLC0415 - needs a driver

    plan = Postprocess(HEAD, BATCH, 0.45, 300)
    at = addresses(machine, plan, output_with(60))
    graph = capture(machine.stream, lambda: plan.launch(machine.kernels, machine.stream, at))
    for live, threshold in ((16, 0.25), (5, 0.25), (16, 0.8), (0, 0.25), (16, 0.25)):
        machine.change(at.live, np.array([live], np.int32))
        machine.change(at.thresholds, np.full((BATCH, CLASSES), threshold, np.float32))
        graph.launch(machine.stream)
        results = machine.get(at.result)
        assert (results[live:, 0] == 0).all()
        for found in detections(results, live):
            assert 0 < len(found) <= 60
            assert (found.confidence >= threshold).all()
            assert (np.diff(found.confidence) <= 0).all()
    graph.close()


@pytest.mark.parametrize(("strong", "most_ms"), [(0, 0.15), (60, 0.2), (400, 0.5), (ANCHORS, 3.0)], ids=str)
@pytest.mark.parametrize("head", [HEAD, OBB, NAS], ids=["yolov8", "yolov8-obb", "yolo-nas"])
def test_time_of_a_batch(machine: GpuMachine, head: HeadSpec, strong: int, most_ms: float) -> None:
    """Limits are several times what a large GPU should take, so that a lapse shows and a small GPU may pass."""
    from framelane.gpu.graph import capture  # noqa: PLC0415 - needs a driver
    from framelane.gpu.stream import Event  # noqa: PLC0415

    plan = Postprocess(head, BATCH, 0.45, 300)
    output = output_with(strong)
    at = addresses(machine, plan, as_obb(output) if head is OBB else output)
    graph = capture(machine.stream, lambda: plan.launch(machine.kernels, machine.stream, at))
    start, end = Event(timing=True), Event(timing=True)
    graph.launch(machine.stream)
    start.record(machine.stream)
    for _ in range(REPEATS):
        graph.launch(machine.stream)
    end.record(machine.stream)
    end.wait()
    ms = end.ms_since(start) / REPEATS
    print(f"{strong} candidates a picture, {BATCH} pictures: {ms:.4f} ms a batch")  # noqa: T201 - a figure to read with -s
    for thing in (graph, start, end):
        thing.close()
    assert ms < most_ms
