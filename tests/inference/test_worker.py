"""Several slots of one model: order, failures and draining, with a model that takes its time as a test says."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.inference.jobs import Sink, job
from tests.waiting import wait_until

from framelane.core.clock import SystemClock
from framelane.core.errors import FramelaneError, ModelError
from framelane.core.frames import Detections, ModelInfo
from framelane.gpu.errors import DeviceLostError, GpuError, OutOfMemoryError
from framelane.inference import worker
from framelane.inference.backends.cpu.runner import CpuRunner
from framelane.inference.batcher import Batch, Batcher
from framelane.inference.delivery import unchanged
from framelane.inference.worker import ModelWorker
from framelane.models.input.spec import InputSpec
from framelane.telemetry.meters import ModelMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from framelane.core.frames import Result
    from framelane.inference.backends.runner import Detected
    from framelane.inference.delivery import Stage
    from framelane.inference.job import Delivery

STREAMS = ("a", "b", "c")
SIZE = 32
GENEROUS_S = 30.0


class FakeModel:
    """Finds one object whose class is the brightness of the picture, and one outside the picture.

    `before` runs on every batch first.
    """

    info = ModelInfo("fake", "0" * 12, "test", ("dark",))
    input = InputSpec(SIZE, SIZE, "rgb", 1.0, "topleft")

    def __init__(self, before: Callable[[NDArray[Any]], None] = lambda _batch: None) -> None:
        self.before = before
        self.backend = self.head = self
        self.best_slots = 3
        self.runs: list[FakeRunner] = []

    def runner(self, batch: int) -> FakeRunner:
        self.runs.append(FakeRunner(self, batch))
        return self.runs[-1]

    def infer(self, batch: NDArray[Any]) -> list[NDArray[np.float32]]:
        if batch[0, 0, 0, 0] != self.input.pad:  # pictures, not the warm-up
            self.before(batch)
        return [batch.mean(axis=(1, 2, 3)).astype(np.float32)]

    def __call__(
        self, outputs: list[NDArray[np.float32]], letterboxes: Sequence[object], wanted: Sequence[object]
    ) -> list[Detections]:
        return [
            Detections(
                np.array([[0, 0, 1, 1], [SIZE, 0, SIZE, 1]], np.float32),
                np.ones(2, np.float32),
                np.array([round(float(level))] * 2, np.int32),
            )
            for level in outputs[0]
        ]


class FakeRunner(CpuRunner):
    """The real one on the CPU, that remembers what was done to it and by whom."""

    def __init__(self, model: FakeModel, batch: int) -> None:
        super().__init__(model.infer, model, batch)  # type: ignore[arg-type]
        self.batch = batch
        self.calls: list[tuple[str, str]] = []
        self.fault: Exception | None = None

    def open(self) -> None:
        self.calls.append(("open", threading.current_thread().name))
        if self.fault is not None:
            raise self.fault
        super().open()

    def close(self) -> None:
        self.calls.append(("close", threading.current_thread().name))


class Bench:
    """A ModelWorker between a batcher and a list of results."""

    def __init__(self, model: FakeModel, batch: int = 2, stage: Stage = unchanged) -> None:
        self.sinks = {stream: Sink(stream, self.deliver) for stream in STREAMS}
        self.model_meter = ModelMeter("fake")
        self.fatal: list[FramelaneError] = []
        self.results: list[Result] = []
        self.changed = threading.Condition()
        clock = SystemClock()
        self.batcher = Batcher(batch, 0.0, clock)
        self.worker = ModelWorker(
            model,  # type: ignore[arg-type]
            self.batcher,
            self.model_meter,
            clock,
            self.fatal.append,
            stage,
        )

    def deliver(self, result: Result) -> None:
        with self.changed:
            self.results.append(result)
            self.changed.notify_all()

    def offer(self, stream: str, index: int, *, wait: bool = True, pictured: int = 0) -> None:
        one = replace(job(self.sinks[stream], index, self.worker.clock.monotonic(), SIZE), pictured=pictured)
        self.batcher.offer(one, gray(index % 200), wait=wait)

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.results) >= count, GENEROUS_S), len(self.results)

    def total(self, what: str) -> int:
        return sum(sink.counts[what] for sink in self.sinks.values())

    def indexes(self) -> dict[str, list[int]]:
        found = defaultdict(list)
        for result in self.results:
            found[result.frame.stream].append(result.frame.index)
        return dict(found)


def gray(level: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((SIZE, SIZE), level, np.uint8), format="gray")


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(model: FakeModel | None = None, *, slots: int = 4, batch: int = 2) -> Bench:
        one = Bench(model or FakeModel(), batch)
        one.worker.start(slots)
        made.append(one)
        return one

    yield make
    for one in made:
        one.worker.stop(10)
        assert not any(slot.alive for slot in one.worker._slots)


def feed(bench: Bench, frames: int) -> None:
    """Offer that many frames of every stream, each stream from a thread of its own, as cameras do."""

    def run(stream: str) -> None:
        for index in range(frames):
            bench.offer(stream, index)

    threads = [threading.Thread(target=run, args=(stream,)) for stream in STREAMS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GENEROUS_S)


def test_results_keep_each_streams_order_when_slots_finish_at_random(bench: Callable[..., Bench]) -> None:
    chance = random.Random(7)
    pause = threading.Event()

    def linger(_batch: NDArray[Any]) -> None:
        pause.wait(chance.random() * 0.004)

    one = bench(FakeModel(linger))
    feed(one, 60)
    one.wait_for(180)
    assert one.indexes() == {stream: list(range(60)) for stream in STREAMS}
    assert one.total("inferred") == 180


def test_objects_outside_the_picture_are_left_out(bench: Callable[..., Bench]) -> None:
    one = bench(batch=1)
    one.offer("a", 7)
    one.wait_for(1)
    assert one.results[0].detections.xyxy.tolist() == [[0, 0, 1, 1]]
    assert len(one.results[0].detections.class_id) == 1


def test_results_belong_to_their_own_pictures(bench: Callable[..., Bench]) -> None:
    """The levels 1 to 199 come back through shrinking, color and batch tensor within a rounding."""
    one = bench(batch=3)
    feed(one, 60)
    one.wait_for(180)
    for result in one.results:
        gray_level = (result.frame.index % 200 - 16) * 255 / 219
        assert result.detections.class_id[0] == pytest.approx(max(gray_level, 0), abs=1.5)


def test_later_batches_are_delivered_when_one_fails(bench: Callable[..., Bench]) -> None:
    def fail_at_100(batch: NDArray[Any]) -> None:
        if abs(float(batch.mean()) - (100 - 16) * 255 / 219) < 0.6:
            raise RuntimeError("the accelerator coughs")

    one = bench(FakeModel(fail_at_100), batch=1)
    for index in range(98, 103):
        one.offer("a", index)
    one.wait_for(4)
    assert one.indexes() == {"a": [98, 99, 101, 102]}
    assert one.sinks["a"].counts == {"failed": 1, "inferred": 4}
    assert one.model_meter.snapshot().batches == 4


def test_a_slow_batch_holds_back_the_ones_behind_it_and_loses_none(bench: Callable[..., Bench]) -> None:
    entered, release = threading.Event(), threading.Event()

    def hold_first(batch: NDArray[Any]) -> None:
        if not entered.is_set():
            entered.set()
            release.wait(GENEROUS_S)

    one = bench(FakeModel(hold_first), slots=2, batch=1)
    one.offer("a", 0)
    assert entered.wait(GENEROUS_S)
    for index in range(1, 4):
        one.offer("a", index)  # waits for its turn: the second slot takes them
    assert one.results == []
    release.set()
    one.wait_for(4)
    assert one.indexes() == {"a": [0, 1, 2, 3]}


def test_stop_infers_what_waits_and_refuses_what_comes_later(bench: Callable[..., Bench]) -> None:
    entered, release = threading.Event(), threading.Event()

    def hold(batch: NDArray[Any]) -> None:
        entered.set()
        release.wait(GENEROUS_S)

    one = bench(FakeModel(hold), slots=1, batch=1)
    one.offer("a", 0)
    assert entered.wait(GENEROUS_S)
    one.offer("a", 1)
    one.offer("b", 0)
    stopping = threading.Thread(target=one.worker.stop, args=(GENEROUS_S,))
    stopping.start()
    while not one.batcher._closed:
        pass
    one.offer("c", 0, wait=False)
    release.set()
    stopping.join(GENEROUS_S)
    assert one.indexes() == {"a": [0, 1], "b": [0]}
    assert one.sinks["c"].counts == {"stopping": 1}
    assert not one.worker.alive


def test_stop_gives_up_in_time_when_a_batch_hangs(bench: Callable[..., Bench]) -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(batch: NDArray[Any]) -> None:
        entered.set()
        release.wait(GENEROUS_S)

    one = bench(FakeModel(hang), slots=1, batch=1)
    one.offer("a", 0)
    assert entered.wait(GENEROUS_S)
    assert not one.worker.stop(0.05)
    # It could not end, and stop() came back all the same.
    assert one.worker._slots[0].alive
    release.set()


def test_start_opens_a_runner_on_each_slots_own_thread(bench: Callable[..., Bench]) -> None:
    model = FakeModel()
    one = bench(model, slots=2, batch=3)
    assert one.worker.alive
    assert [run.calls for run in model.runs] == [[("open", "infer-fake-0")], [("open", "infer-fake-1")]]
    assert [run.batch for run in model.runs] == [3, 3]
    names = {thread.name for thread in threading.enumerate()}
    assert {"infer-fake-0", "infer-fake-1"} <= names


def test_slots_are_as_many_as_suit_the_backend_when_none_are_asked_for(bench: Callable[..., Bench]) -> None:
    model = FakeModel()
    bench(model, slots=0)
    assert len(model.runs) == model.best_slots


def test_stop_closes_each_runner_on_its_own_thread(bench: Callable[..., Bench]) -> None:
    model = FakeModel()
    one = bench(model, slots=2)
    assert one.worker.stop(GENEROUS_S)
    assert [run.calls[-1] for run in model.runs] == [("close", "infer-fake-0"), ("close", "infer-fake-1")]


class Copying(FakeModel):
    """Has room for a copy of one image per batch, as if all were on the GPU."""

    def runner(self, batch: int) -> FakeRunner:
        run = super().runner(batch)
        detect = run.detect

        def copy(images: list[av.VideoFrame], wanted: Any, crops: Any, pictured: Sequence[int]) -> Detected:
            first = next((number for number, most in enumerate(pictured) if most), None)
            copies: dict[int, Any] = {} if first is None else {first: f"copy of {gray_of(images[first])}"}
            return replace(detect(images, wanted, crops), copies=copies, copy_bytes=5000)

        run.detect = copy  # type: ignore[assignment,method-assign]
        return run


def gray_of(image: av.VideoFrame) -> int:
    return int(image.to_ndarray()[0, 0])


def test_copies_of_frames_on_the_gpu_go_with_their_results_and_those_without_room_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framelane.inference.worker.is_on_gpu", lambda _: True)
    seen: dict[str, object] = {}

    def stage(batch: Sequence[Delivery]) -> Sequence[Delivery]:
        seen.update((each.result.frame.stream, each.picture) for each in batch)
        return batch

    one = Bench(Copying(), batch=3, stage=stage)
    for level, (stream, pictured) in enumerate(zip(STREAMS, (0, 3, 3), strict=True)):
        one.offer(stream, level, wait=False, pictured=pictured)
    one.worker.start(1)
    one.wait_for(3)
    one.worker.stop(10)
    assert seen == {"a": None, "b": "copy of 1", "c": None}
    counts = one.model_meter.snapshot()
    assert (counts.not_copied, counts.copy_bytes) == (1, 5000)


def test_start_raises_what_kept_a_slot_from_opening_and_leaves_none_running() -> None:
    model = FakeModel()
    made = model.runner

    def second_fails(batch: int) -> FakeRunner:
        run = made(batch)
        run.fault = ModelError("the engine does not fit") if len(model.runs) == 2 else None
        return run

    model.runner = second_fails  # type: ignore[method-assign]
    one = Bench(model)
    with pytest.raises(ModelError, match="the engine does not fit"):
        one.worker.start(2)
    assert not any(slot.alive for slot in one.worker._slots)
    assert [run.calls[-1][0] for run in model.runs] == ["close", "close"]


def test_pictures_are_let_go_when_a_batch_fails(bench: Callable[..., Bench]) -> None:
    kept: list[list[av.VideoFrame]] = []

    class Failing(FakeModel):
        def runner(self, batch: int) -> FakeRunner:
            run = super().runner(batch)

            def detect(pictures: list[av.VideoFrame], *_args: object) -> Detected:
                kept.append(pictures)
                raise RuntimeError("before the pictures were read")

            run.detect = detect  # type: ignore[assignment,method-assign]
            return run

    one = bench(Failing(), slots=1, batch=1)
    one.offer("a", 0)
    one.worker.stop(GENEROUS_S)
    assert kept == [[]]
    assert one.sinks["a"].counts == {"failed": 1}


class Cramped(FakeModel):
    """Has no room for a batch with a picture brighter than 100, as a GPU whose memory is full."""

    def runner(self, batch: int) -> FakeRunner:
        run = super().runner(batch)
        detect = run.detect

        def refuse(pictures: list[av.VideoFrame], *more: Any) -> Detected:
            if max(picture.to_ndarray().max() for picture in pictures) > 100:
                raise OutOfMemoryError("cuMemAlloc: out of memory (CUDA_ERROR_OUT_OF_MEMORY, 2)")
            return detect(pictures, *more)

        run.detect = refuse  # type: ignore[assignment,method-assign]
        return run


def test_picture_for_which_the_gpu_has_no_room_costs_no_other_in_its_batch(
    bench: Callable[..., Bench],
) -> None:
    one = bench(Cramped(), slots=1, batch=3)
    with capture_logs() as logs:
        for index in (1, *range(150, 160)):
            for stream in STREAMS:
                one.offer(stream, index if stream == "b" else 2)
        one.worker.stop(GENEROUS_S)
    assert one.indexes() == {"a": [2] * 11, "b": [1], "c": [2] * 11}
    assert one.sinks["b"].counts["failed"] == one.total("failed") == 10
    assert [each["stream"] for each in logs if each["event"] == "no_room_for_picture"] == ["b"]
    assert one.fatal == []


def test_batch_of_pictures_without_room_fails_once(bench: Callable[..., Bench]) -> None:
    one = bench(Cramped(), slots=1, batch=3)
    for stream in STREAMS:
        one.offer(stream, 150)
    one.worker.stop(GENEROUS_S)
    assert one.total("failed") == 3


def test_a_lost_gpu_ends_the_slot_and_is_reported_once(bench: Callable[..., Bench]) -> None:
    def lose(_batch: NDArray[Any]) -> None:
        raise DeviceLostError("an illegal memory access was encountered")

    one = bench(FakeModel(lose), slots=1, batch=1)
    one.offer("a", 0)
    assert one.worker._slots[0].join(GENEROUS_S)
    assert [str(error) for error in one.fatal] == ["an illegal memory access was encountered"]
    assert one.sinks["a"].counts == {"failed": 1}
    assert not one.worker.alive


def test_gpu_that_fails_every_batch_is_lost_after_a_while(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the error, a daemon that infers nothing must not look healthy forever; one good batch ends the wait."""
    monkeypatch.setattr(worker, "_HOPELESS_S", 0.5)
    works = threading.Event()

    def fail(_batch: NDArray[Any]) -> None:
        if not works.is_set():
            raise GpuError("starting the graph: operation not supported (CUDA_ERROR_NOT_SUPPORTED, 801)")

    one = bench(FakeModel(fail), slots=1, batch=1)

    def failed(count: int) -> bool:
        return one.sinks["a"].counts.get("failed") == count

    one.offer("a", 0)
    wait_until(partial(failed, 1))
    time.sleep(0.6)
    works.set()
    one.offer("a", 1)
    wait_until(lambda: len(one.results) == 1)
    works.clear()
    for index in range(2, 7):
        assert one.fatal == []
        one.offer("a", index)
        wait_until(partial(failed, index))
        time.sleep(0.15)
    assert one.worker._slots[0].join(GENEROUS_S)
    assert [str(error)[:33] for error in one.fatal] == ["every batch has failed for 0.5 s:"]


def test_a_model_that_fails_on_every_batch_says_so_until_one_goes_well(bench: Callable[..., Bench]) -> None:
    broken = threading.Event()

    def fail(_batch: NDArray[Any]) -> None:
        if broken.is_set():
            raise RuntimeError("index 1 is out\nof bounds")

    one = bench(FakeModel(fail), slots=1, batch=1)
    broken.set()
    for index in range(2):
        one.offer("a", index)
    wait_until(lambda: one.sinks["a"].counts["failed"] == 2)
    assert one.worker.trouble is None
    one.offer("a", 2)
    wait_until(lambda: one.worker.trouble is not None)
    assert one.worker.trouble == "model fake fails on every batch: index 1 is out of bounds"
    broken.clear()
    one.offer("a", 3)
    one.wait_for(1)
    wait_until(lambda: one.worker.trouble is None)


def test_frames_on_the_gpu_go_back_to_their_decoder() -> None:
    sink = Sink()
    images: list[Any] = [
        SimpleNamespace(format=SimpleNamespace(name=name)) for name in ("yuv420p", "yuv420p", "cuda")
    ]
    jobs = [replace(job(sink, index), pictured=index) for index in range(3)]
    assert worker._needed(Batch(0, jobs, images, 0.0)) == {1: images[1]}
