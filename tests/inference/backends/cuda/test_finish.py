"""What follows inference on a GPU for heads that no kernel reads."""

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
from framelane.models.heads.yolov8 import YoloV8Head
from framelane.models.input.spec import InputSpec
from framelane.models.postprocess import Postprocessor

if TYPE_CHECKING:
    from tests.inference.backends.cuda.fake_gpu import Journal

WIDTH, HEIGHT = tiny_models.SIZE_WH
SPEC = InputSpec(WIDTH, HEIGHT, "rgb", 1 / 255, "center")
COLUMNS = tiny_models.more_columns([PERSON, CAR_IN_FRONT], [[1.0, 0, 0, 0], [0, 1, 0, 0]])
MAPS = tiny_models.prototypes()
TENSORS = (
    Tensor("images", "float16", (-1, 3, -1, -1), is_input=True),
    Tensor("output0", "float16", (-1, *COLUMNS.shape[1:]), is_input=False),
    Tensor("output1", "float32", (-1, *MAPS.shape[1:]), is_input=False),
)


@pytest.fixture
def opened(journal: Journal) -> CudaRunner:
    shape = engine_shape(TENSORS, ["output0", "output1"], SPEC.size_wh, buckets(1, 16))
    head = YoloV8Head(SPEC, 3, 0, PrototypeMasks(1, 4), "yolov8-seg")
    engine = FakeEngine(journal, TENSORS)
    gpu: Any = FakeGpu(journal)
    runner = CudaRunner(
        gpu,
        lambda stream: SlotContexts(engine, shape, stream),  # type: ignore[arg-type]
        Task("street", Postprocessor(head, 0.45, 300), 3, 4),
        FrameCopies("street", gpu),
    )
    runner.open()
    return runner


def test_the_graph_of_each_bucket_copies_that_many_images_of_all_outputs(
    opened: CudaRunner, journal: Journal
) -> None:
    for bucket in (1, 4, 16):
        begin = journal.done.index(f"[infer {bucket}]")
        sizes = [bucket * COLUMNS.nbytes // 2, bucket * MAPS.nbytes]
        assert journal.done[begin + 1 : begin + 3] == [f"[copy out {size}]" for size in sizes]
    assert not any("framelane_decode" in step for step in journal.done)


def test_what_was_copied_is_decoded_on_the_cpu(opened: CudaRunner) -> None:
    columns, maps = opened._finish._arrays  # type: ignore[attr-defined]
    columns[1], maps[1] = COLUMNS[0], MAPS[0]
    wanted = [ClassFilter.everything(3, 0.4), ClassFilter.everything(3, 0.7)]
    empty, found = opened.detect([object()] * 2, wanted, [None] * 2).detections  # type: ignore[list-item]
    assert len(empty) == 0
    assert found.class_id.tolist() == [0]
    np.testing.assert_allclose(found.xyxy, [PERSON.xyxy], atol=0.1)
    assert found.masks is not None
    np.testing.assert_allclose(found.masks[0][0].max(axis=0), [59.5, 89.5], atol=0.1)


def test_close_frees_the_copies(opened: CudaRunner, journal: Journal) -> None:
    assert sum(name.startswith("pinned") for name in journal.open) == 2
    opened.close()
    assert journal.open == []
