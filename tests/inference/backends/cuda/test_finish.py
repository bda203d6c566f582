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
from framelane.models.heads.end_to_end import EndToEndHead
from framelane.models.heads.masks import PrototypeMasks, QueryMasks
from framelane.models.heads.rfdetr import RfDetrHead
from framelane.models.heads.yolov8 import YoloV8Head
from framelane.models.input.spec import InputSpec
from framelane.models.postprocess import Postprocessor

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tests.inference.backends.cuda.fake_gpu import Journal

    from framelane.models.heads.head import Head

WIDTH, HEIGHT = tiny_models.SIZE_WH
SPEC = InputSpec(WIDTH, HEIGHT, "rgb", 1 / 255, "center")
# Class and score have changed places.
SWAPPED = tiny_models.end2end([PERSON, CAR_IN_FRONT])[..., [0, 1, 2, 3, 5, 4]]
WEIGHTS = tiny_models.more_columns([PERSON, CAR_IN_FRONT], [[1.0, 0, 0, 0], [0, 1, 0, 0]])
MAPS = tiny_models.prototypes()
MOST = 300
QUERIES = 50


def opened(journal: Journal, outputs: list[NDArray[np.float32]], head: Head) -> CudaRunner:
    """A runner of a model with these outputs, the last in single precision and the others in half."""
    named = [(f"output{number}", each.shape[1:]) for number, each in enumerate(outputs)]
    tensors = (
        Tensor("images", "float16", (-1, 3, -1, -1), is_input=True),
        *(Tensor(name, "float16", (-1, *dims), is_input=False) for name, dims in named[:-1]),
        Tensor(named[-1][0], "float32", (-1, *named[-1][1]), is_input=False),
    )
    shape = engine_shape(tensors, [name for name, _ in named], SPEC.size_wh, buckets(1, 16))
    engine = FakeEngine(journal, tensors)
    gpu: Any = FakeGpu(journal)
    runner = CudaRunner(
        gpu,
        lambda stream: SlotContexts(engine, shape, stream),  # type: ignore[arg-type]
        Task("street", Postprocessor(head, 0.45, MOST), 3, 4),
        FrameCopies("street", gpu),
    )
    runner.open()
    return runner


@pytest.fixture
def without_kernels(journal: Journal) -> CudaRunner:
    """No kernel reads rows whose class and score have changed places."""
    return opened(journal, [SWAPPED, MAPS], EndToEndHead(SPEC, 0, swapped=True))


@pytest.fixture
def with_masks(journal: Journal) -> CudaRunner:
    return opened(journal, [WEIGHTS, MAPS], YoloV8Head(SPEC, 3, 0, PrototypeMasks(1, 4)))


@pytest.fixture
def with_queries(journal: Journal) -> CudaRunner:
    boxes, logits = np.zeros((1, QUERIES, 4), np.float32), np.zeros((1, QUERIES, 4), np.float32)
    head = RfDetrHead("rf-detr-seg", SPEC, 0, 1, (0, 1, 2), QueryMasks(2, SPEC.size_wh))
    return opened(journal, [boxes, logits, np.zeros((1, QUERIES, 16, 20), np.float32)], head)


def test_the_graph_of_each_bucket_copies_that_many_images_of_all_outputs(
    without_kernels: CudaRunner, journal: Journal
) -> None:
    for bucket in (1, 4, 16):
        begin = journal.done.index(f"[infer {bucket}]")
        sizes = [bucket * SWAPPED.nbytes // 2, bucket * MAPS.nbytes]
        assert journal.done[begin + 1 : begin + 3] == [f"[copy out {size}]" for size in sizes]
    assert not any("framelane_decode" in step for step in journal.done)


def test_what_was_copied_is_decoded_on_the_cpu(without_kernels: CudaRunner) -> None:
    rows, _ = (copy.array for copy in without_kernels._finish._copies)  # type: ignore[attr-defined]
    rows[1] = SWAPPED[0]
    wanted = [ClassFilter.everything(3, 0.4), ClassFilter.everything(3, 0.7)]
    empty, found = without_kernels.detect([object()] * 2, wanted, [None] * 2).detections  # type: ignore[list-item]
    assert len(empty) == 0
    assert found.class_id.tolist() == [0]
    np.testing.assert_allclose(found.xyxy, [PERSON.xyxy], atol=0.1)


def test_prototypes_are_summed_and_never_copied(with_masks: CudaRunner, journal: Journal) -> None:
    for bucket in (1, 4, 16):
        begin = journal.done.index(f"[infer {bucket}]")
        steps = journal.done[begin + 1 : begin + 9]
        kernels = [
            "forget_candidates",
            "decode_columns_float16",
            "suppress",
            "gather_float16",
            "sum_maps_float",
        ]
        assert [kernel in step for kernel, step in zip(kernels, steps, strict=False)] == [True] * 5
        copied = f"[copy out {bucket * (1 + 6 * MOST) * 4}]"
        assert [step for step in steps if "copy" in step] == [copied]


def test_masks_of_all_queries_are_never_copied(with_queries: CudaRunner, journal: Journal) -> None:
    """A kernel writes those of the kept ones, and no image has more boxes than queries."""
    for bucket in (1, 4, 16):
        begin = journal.done.index(f"[infer {bucket}]")
        steps = journal.done[begin + 1 : begin + 7]
        kernels = ["forget_candidates", "decode_scored_float16", "suppress", "gather_float32"]
        assert [kernel in step for kernel, step in zip(kernels, steps, strict=False)] == [True] * 4
        copied = f"[copy out {bucket * (1 + 6 * QUERIES) * 4}]"
        assert [step for step in steps if "copy" in step] == [copied]


def test_masks_are_those_of_the_kept_queries(with_queries: CudaRunner) -> None:
    finish = with_queries._finish
    rows = np.array([PERSON.xyxy, CAR_IN_FRONT.xyxy], np.float32)
    finish._results[0, :13] = [2, *rows[0], 0.9, 0, *rows[1], 0.6, 2]  # type: ignore[attr-defined]
    details = finish._details._rows[0, :2]  # type: ignore[attr-defined]
    details[:, :4] = rows
    masks = np.full((2, 16, 20), -1, np.float32)
    masks[0, :8], masks[1, :, 10:] = 1, 1
    details[:, 4:] = masks.reshape(2, -1)
    (found,) = with_queries.detect([object()], [ClassFilter.everything(3, 0.4)], [None]).detections  # type: ignore[list-item]
    assert found.masks is not None
    above, beside = (mask[0] for mask in found.masks)
    np.testing.assert_allclose(above.max(axis=0), [WIDTH - 0.5, HEIGHT / 2 - 0.5], atol=4)
    np.testing.assert_allclose(beside.min(axis=0), [WIDTH / 2 + 0.5, 0.5], atol=4)


def test_masks_are_made_of_the_sums(with_masks: CudaRunner) -> None:
    finish = with_masks._finish
    rows = np.array([PERSON.xyxy, CAR_IN_FRONT.xyxy], np.float32)
    finish._results[1, :13] = [2, *rows[0], 0.9, 0, *rows[1], 0.6, 2]  # type: ignore[attr-defined]
    details = finish._details  # type: ignore[attr-defined]
    details._rows[1, :2, :4] = rows
    windows = PrototypeMasks(1, 4).windows(rows, MAPS.shape[2:])
    cut = [
        maps[each.top : each.bottom, each.left : each.right]
        for maps, each in zip(MAPS[0], windows, strict=False)
    ]
    sums = np.concatenate([each.ravel() for each in cut])
    details._sums._values[1, : len(sums)] = sums
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
