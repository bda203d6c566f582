"""What follows inference on a GPU: boxes and their details by kernels, or raw outputs for the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.inference.backends.cuda.fake_gpu import FakeEngine, FakeGpu
from tests.models import tiny_models
from tests.models.heads.scenes import CAR_IN_FRONT, PERSON

from framelane.gpu.trt.runtime import Tensor
from framelane.inference.backends.cuda.contexts import SlotContexts, engine_shape
from framelane.inference.backends.cuda.frame_copier import FrameCopies
from framelane.inference.backends.cuda.runner import CudaRunner, Task
from framelane.models.engines.plan import buckets
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.heads.masks import PrototypeMasks
from framelane.models.heads.rotation import Rotation
from framelane.models.heads.yolov8 import YoloV8Head
from framelane.models.input.spec import InputSpec
from framelane.models.postprocess import Postprocessor

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tests.inference.backends.cuda.fake_gpu import Journal

    from framelane.models.heads.head import Details

WIDTH, HEIGHT = tiny_models.SIZE_WH
SPEC = InputSpec(WIDTH, HEIGHT, "rgb", 1 / 255, "center")
# Without a turn, boxes are upright.
TURNS = tiny_models.more_columns([PERSON, CAR_IN_FRONT], [[0.0], [0.0]])
WEIGHTS = tiny_models.more_columns([PERSON, CAR_IN_FRONT], [[1.0, 0, 0, 0], [0, 1, 0, 0]])
MAPS = tiny_models.prototypes()
MOST = 300


def opened(journal: Journal, columns: NDArray[np.float32], details: Details) -> CudaRunner:
    """A runner of a model with predictions in half precision, and prototypes."""
    tensors = (
        Tensor("images", "float16", (-1, 3, -1, -1), is_input=True),
        Tensor("output0", "float16", (-1, *columns.shape[1:]), is_input=False),
        Tensor("output1", "float32", (-1, *MAPS.shape[1:]), is_input=False),
    )
    shape = engine_shape(tensors, ["output0", "output1"], SPEC.size_wh, buckets(1, 16))
    engine = FakeEngine(journal, tensors)
    gpu: Any = FakeGpu(journal)
    runner = CudaRunner(
        gpu,
        lambda stream: SlotContexts(engine, shape, stream),  # type: ignore[arg-type]
        Task("street", Postprocessor(YoloV8Head(SPEC, 3, 0, details), 0.45, MOST), 3, 4),
        FrameCopies("street", gpu),
    )
    runner.open()
    return runner


@pytest.fixture
def without_kernels(journal: Journal) -> CudaRunner:
    """No kernel suppresses rotated boxes."""
    return opened(journal, TURNS, Rotation())


@pytest.fixture
def with_masks(journal: Journal) -> CudaRunner:
    return opened(journal, WEIGHTS, PrototypeMasks(1, 4))


def test_the_graph_of_each_bucket_copies_that_many_images_of_all_outputs(
    without_kernels: CudaRunner, journal: Journal
) -> None:
    for bucket in (1, 4, 16):
        begin = journal.done.index(f"[infer {bucket}]")
        sizes = [bucket * TURNS.nbytes // 2, bucket * MAPS.nbytes]
        assert journal.done[begin + 1 : begin + 3] == [f"[copy out {size}]" for size in sizes]
    assert not any("framelane_decode" in step for step in journal.done)


def test_what_was_copied_is_decoded_on_the_cpu(without_kernels: CudaRunner) -> None:
    columns, _ = (copy.array for copy in without_kernels._finish._copies)  # type: ignore[attr-defined]
    columns[1] = TURNS[0]
    wanted = [ClassFilter.everything(3, 0.4), ClassFilter.everything(3, 0.7)]
    empty, found = without_kernels.detect([object()] * 2, wanted, [None] * 2).detections  # type: ignore[list-item]
    assert len(empty) == 0
    assert found.class_id.tolist() == [0]
    np.testing.assert_allclose(found.xyxy, [PERSON.xyxy], atol=0.1)


def test_details_and_prototypes_are_copied_behind_the_boxes(with_masks: CudaRunner, journal: Journal) -> None:
    for bucket in (1, 4, 16):
        begin = journal.done.index(f"[infer {bucket}]")
        steps = journal.done[begin + 1 : begin + 9]
        sizes = [bucket * (1 + 6 * MOST) * 4, bucket * MOST * (4 + 4) * 4, bucket * MAPS.nbytes]
        kernels = ["forget_candidates", "decode_columns_float16", "suppress", "gather_float16"]
        assert [kernel in step for kernel, step in zip(kernels, steps, strict=False)] == [True] * 4
        assert steps[4:7] == [f"[copy out {size}]" for size in sizes]


def test_masks_are_made_of_what_was_copied(with_masks: CudaRunner) -> None:
    finish = with_masks._finish
    rows = np.array([PERSON.xyxy, CAR_IN_FRONT.xyxy], np.float32)
    finish._results[1, :13] = [2, *rows[0], 0.9, 0, *rows[1], 0.6, 2]  # type: ignore[attr-defined]
    details = finish._details  # type: ignore[attr-defined]
    details._rows[1, :2] = np.concatenate([rows, [[1, 0, 0, 0], [0, 1, 0, 0]]], axis=1)
    details._outputs[1][1] = MAPS[0]
    wanted = [ClassFilter.everything(3, 0.4)] * 2
    empty, found = with_masks.detect([object()] * 2, wanted, [None] * 2).detections  # type: ignore[list-item]
    assert (len(empty), empty.masks) == (0, None)
    assert found.class_id.tolist() == [0, 2]
    assert found.masks is not None
    for mask, xyxy in zip(found.masks, rows, strict=True):
        np.testing.assert_allclose(mask[0].min(axis=0), xyxy[:2] + 0.5, atol=0.1)
        np.testing.assert_allclose(mask[0].max(axis=0), xyxy[2:] - 0.5, atol=0.1)


def test_close_frees_the_copies(without_kernels: CudaRunner, journal: Journal) -> None:
    assert sum(name.startswith("pinned") for name in journal.open) == 2
    without_kernels.close()
    assert journal.open == []


def test_close_frees_the_details(with_masks: CudaRunner, journal: Journal) -> None:
    with_masks.close()
    assert journal.open == []
