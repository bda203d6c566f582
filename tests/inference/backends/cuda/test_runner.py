"""A slot on the GPU: what is launched in which order, when pictures go, what is freed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.inference.backends.cuda.fake_gpu import FakeEngine, FakeGpu, Journal
from tests.inference.backends.cuda.test_preprocess import PictureOnGpu, picture

from framelane.core.errors import ModelError
from framelane.gpu.errors import DeviceLostError, GpuError, OutOfMemoryError
from framelane.gpu.trt.runtime import Tensor
from framelane.inference.backends.cuda import runner
from framelane.inference.backends.cuda.contexts import SlotContexts, engine_shape
from framelane.inference.backends.cuda.frame_copier import FrameCopies
from framelane.inference.backends.cuda.runner import CudaRunner, Task
from framelane.models.engines.plan import buckets
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.heads.yolov8 import YoloV8Head
from framelane.models.input.letterbox import Crop
from framelane.models.input.spec import InputSpec
from framelane.models.postprocess import Postprocessor

SPEC = InputSpec(64, 32, "rgb", 1 / 255, "center")
CLASSES, ANCHORS = 3, 42
TENSORS = (
    Tensor("images", "float16", (-1, 3, -1, -1), is_input=True),
    Tensor("output0", "float16", (-1, 4 + CLASSES, ANCHORS), is_input=False),
)
MAX_DET = 5
RESULT_BYTES = 4 * (1 + 6 * MAX_DET)
AFTER = ["framelane_forget_candidates", "framelane_decode_columns_float16", "framelane_suppress"]


class Bench:
    def __init__(self, journal: Journal, batch: int = 16) -> None:
        self.journal = journal
        self.gpu = FakeGpu(journal)
        self.engine = FakeEngine(journal, TENSORS)
        shape = engine_shape(TENSORS, ["output0"], SPEC.size_wh, buckets(1, 16))
        postprocess = Postprocessor(YoloV8Head(SPEC, CLASSES, 0), 0.45, MAX_DET)
        self.copies = FrameCopies("gate", self.gpu)  # type: ignore[arg-type]
        self.runner = CudaRunner(
            self.gpu,  # type: ignore[arg-type]
            lambda stream: SlotContexts(self.engine, shape, stream),  # type: ignore[arg-type]
            Task("gate", postprocess, CLASSES, batch),
            self.copies,
        )

    def opened(self) -> Bench:
        self.runner.open()
        self.journal.done.clear()
        return self

    def detect(self, count: int, wanted: ClassFilter | None = None) -> list[str]:
        """What one batch made the GPU do."""
        self.journal.done.clear()
        pictures: list[Any] = [object()] * count
        self.runner.detect(pictures, [wanted or everything()] * count, [None] * count)
        assert pictures == []
        return self.journal.done


def everything() -> ClassFilter:
    return ClassFilter.everything(CLASSES, 0.25)


@pytest.fixture
def bench(journal: Journal) -> Bench:
    return Bench(journal)


def test_a_batch_is_read_before_its_graph_starts_and_waited_for_in_that_order(bench: Bench) -> None:
    assert bench.opened().detect(3) == [
        "fill 3",
        "record decoded on the legacy stream",
        "stream waits for decoded",
        "upload table",
        "copy in",
        "framelane_preprocess_float16 of 3",
        "record read",
        "launch graph 1",
        "record done",
        "wait for read",
        "wait for done",
    ]


def test_pictures_go_when_they_are_read_and_not_before(bench: Bench) -> None:
    bench.opened()
    pictures: list[Any] = [object()]
    left: dict[str, int] = {}
    bench.runner._read.before_wait = lambda: left.update(read=len(pictures))  # type: ignore[attr-defined]
    bench.runner._done.before_wait = lambda: left.update(done=len(pictures))  # type: ignore[attr-defined]
    bench.runner.detect(pictures, [everything()], [None])
    assert left == {"read": 1, "done": 0}


def test_each_bucket_is_run_once_and_then_recorded_with_what_follows_it(
    bench: Bench, journal: Journal
) -> None:
    bench.runner.open()
    for number, bucket in enumerate((1, 4, 16)):
        work = [f"infer {bucket}", *AFTER, f"copy out {bucket * RESULT_BYTES}"]
        recorded = [f"[{step}]" for step in work]
        expected = [*work, "synchronize", *recorded, f"make graph {number}"]
        begin = journal.done.index(f"infer {bucket}")
        assert journal.done[begin : begin + len(expected)] == expected


def test_opening_takes_each_bucket_through_once(bench: Bench, journal: Journal) -> None:
    bench.runner.open()
    launched = [step for step in journal.done if step.startswith("launch graph")]
    assert launched == ["launch graph 0", "launch graph 1", "launch graph 2"]
    assert [step for step in journal.done if step.startswith("fill")] == ["fill 1", "fill 4", "fill 16"]


@pytest.mark.parametrize(("count", "graph"), [(1, 0), (2, 1), (4, 1), (5, 2), (16, 2)])
def test_a_batch_runs_in_the_smallest_bucket_that_holds_it(bench: Bench, count: int, graph: int) -> None:
    done = bench.opened().detect(count)
    assert f"launch graph {graph}" in done
    assert f"framelane_preprocess_float16 of {count}" in done


def test_contexts_of_a_slot_share_scratch_and_buffers(bench: Bench) -> None:
    bench.runner.open()
    assert len(bench.engine.contexts) == 3
    assert len(set(bench.engine.scratches)) == 1
    addresses = [context.addresses for context in bench.engine.contexts]
    assert set(addresses[0]) == {"images", "output0"}
    assert addresses == [addresses[0]] * 3


def surface(seed: int) -> Any:
    return PictureOnGpu(picture("nv12", (64, 32), seed))


def test_frames_for_snapshots_are_copied_before_they_go_and_looked_at_after_the_results(bench: Bench) -> None:
    bench.opened()
    row = bench.runner._finish._results[1]  # type: ignore[attr-defined]
    row[:7] = [1, 1, 2, 30, 20, 0.9, 2]
    given: list[Any] = [surface(0), surface(1)]
    found = bench.runner.detect(given, [everything()] * 2, [None] * 2, [0, 9])
    assert list(found.copies) == [1]
    assert found.copy_bytes == 64 << 10
    done = bench.journal.done
    preprocess = done.index("framelane_preprocess_float16 of 2")
    expected = ["copy in", "framelane_copy_planes", "record read", "launch graph 1", "record done"]
    assert done[preprocess + 1 : preprocess + 6] == expected
    after = [*expected_look(1), "record looked"]
    assert [step for step in done[done.index("wait for done") + 1 :] if not step.startswith("make")] == after
    bench.runner.close()
    bench.copies.close(1)
    assert bench.journal.open == []


def expected_look(boxes: int) -> list[str]:
    return ["copy in", "framelane_sharpness", f"copy out {4 * boxes}"]


def test_batch_without_frames_for_snapshots_does_nothing_for_them(bench: Bench) -> None:
    plain = bench.opened().detect(2)
    bench.journal.done.clear()
    given: list[Any] = [surface(0), surface(1)]
    found = bench.runner.detect(given, [everything()] * 2, [None] * 2, [0, 0])
    assert found.copies == {}
    assert [step for step in plain if step != "copy in"] == [
        step for step in bench.journal.done if step != "copy in"
    ]


def test_frames_without_objects_are_copied_and_not_looked_at(bench: Bench) -> None:
    bench.opened()
    found = bench.runner.detect([surface(0)], [everything()], [None], [9])
    assert list(found.copies) == [0]
    assert "framelane_sharpness" not in bench.journal.done


def test_thresholds_are_sent_only_when_they_change(bench: Bench) -> None:
    bench.opened()
    high = ClassFilter.everything(CLASSES, 0.9)
    sent = ["copy in" in bench.detect(*batch) for batch in ((2,), (2,), (2, high), (2, high), (1, high))]
    assert sent == [True, False, True, False, True]
    live = bench.runner._finish._live  # type: ignore[attr-defined]
    assert live._count[0] == 1
    assert live._thresholds[0] == pytest.approx(0.9)


def test_crops_reach_the_table(bench: Bench) -> None:
    bench.opened()
    crop = Crop(0.0, 0.5, 1.0, 1.0)
    bench.runner.detect([object()] * 2, [everything()] * 2, [None, crop])  # type: ignore[list-item]
    assert bench.runner._table.crops == [None, crop]  # type: ignore[attr-defined]


def test_results_become_detections(bench: Bench) -> None:
    bench.opened()
    row = bench.runner._finish._results[1]  # type: ignore[attr-defined]
    row[0] = 2
    row[1:13] = [1, 2, 3, 4, 0.9, 2, 5, 6, 7, 8, 0.5, 0]
    found = bench.runner.detect([object()] * 2, [everything()] * 2, [None] * 2).detections  # type: ignore[list-item]
    assert [len(each) for each in found] == [0, 2]
    assert found[1].class_id.tolist() == [2, 0]
    np.testing.assert_allclose(found[1].xyxy, [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_the_pictures_are_what_the_engine_takes(bench: Bench) -> None:
    bench.runner.open()
    assert bench.runner._table.spec.dtype == "float16"  # type: ignore[attr-defined]


def test_close_frees_graphs_then_contexts_then_the_stream_and_leaves_nothing(
    bench: Bench, journal: Journal
) -> None:
    bench.opened().runner.close()
    graphs = ["free graph 2", "free graph 1", "free graph 0"]
    contexts = ["free context 2", "free context 1", "free context 0"]
    events = ["free event done", "free event read", "free event decoded"]
    assert journal.done == [*graphs, "free table", *contexts, *events, "free stream", "free current device"]
    assert journal.open == []
    bench.runner.close()


@pytest.mark.parametrize(
    "step", ["make stream", "make context 1", "infer 4", "synchronize", "make graph 2", "launch graph 1"]
)
def test_an_open_that_fails_half_way_leaves_nothing(
    bench: Bench, journal: Journal, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_ATTEMPTS", 1)
    journal.fail[step] = GpuError("no")
    with pytest.raises(GpuError, match="no"):
        bench.runner.open()
    assert journal.open == []
    bench.runner.close()


@pytest.mark.parametrize("step", ["infer 4", "synchronize", "make graph 2", "launch graph 1"])
def test_an_open_that_fails_once_is_tried_again(bench: Bench, journal: Journal, step: str) -> None:
    journal.fail_once[step] = GpuError("no")
    bench.opened()
    assert bench.detect(1)[-1] == "wait for done"
    assert journal.open.count("stream") == 1
    bench.runner.close()
    assert journal.open == []


@pytest.mark.parametrize("error", [OutOfMemoryError("full"), DeviceLostError("gone")])
def test_an_open_without_hope_is_tried_once(bench: Bench, journal: Journal, error: Exception) -> None:
    journal.fail["infer 1"] = error
    with pytest.raises(type(error)):
        bench.runner.open()
    assert journal.done.count("infer 1") == 1


@pytest.mark.parametrize("step", ["upload table", "launch graph 0", "wait for read"])
def test_a_batch_that_fails_is_waited_for_before_its_pictures_may_go(
    bench: Bench, journal: Journal, step: str
) -> None:
    bench.opened()
    journal.fail[step] = GpuError("no")
    with pytest.raises(GpuError, match="no"):
        bench.runner.detect([object()], [everything()], [None])  # type: ignore[list-item]
    assert journal.done[-1] == "synchronize"
    journal.fail.clear()
    assert bench.detect(1)[-1] == "wait for done"


def test_a_lost_gpu_is_told_though_it_can_not_be_waited_for(bench: Bench, journal: Journal) -> None:
    bench.opened()
    journal.fail["wait for read"] = GpuError("first")
    journal.fail["synchronize"] = DeviceLostError("gone")
    with pytest.raises(DeviceLostError, match="gone"):
        bench.runner.detect([object()], [everything()], [None])  # type: ignore[list-item]
    bench.runner.close()
    assert journal.open == []


def test_a_batch_larger_than_the_engines_is_refused(journal: Journal) -> None:
    bench = Bench(journal, batch=32)
    with pytest.raises(
        ModelError, match="a batch of 32 exceeds the 16 that the engine was built for; set `batch`"
    ):
        bench.runner.open()
    assert journal.open == []
