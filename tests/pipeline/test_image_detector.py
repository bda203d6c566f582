"""Single images among the frames of streams, with a real model that finds the same boxes on every picture."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from tests.inference.jobs import Sink, job
from tests.models import tiny_models
from tests.waiting import wait_until

from framelane.config.sections.model import ModelConfig
from framelane.core.clock import SystemClock
from framelane.core.errors import RequestError
from framelane.inference.backends.cpu.runner import CpuRunner
from framelane.inference.batcher import Batcher
from framelane.inference.model import load_model
from framelane.inference.worker import ModelWorker
from framelane.pipeline.image_detector import ImageDetector
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from framelane.core.frames import Result
    from framelane.inference.model import Model

BOXES = (
    tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9),
    tiny_models.Box((80.0, 32.0, 144.0, 80.0), class_id=2, score=0.5),
)
GENEROUS_S = 30.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    file = tmp_path_factory.mktemp("stills") / "tiny.onnx"
    tiny_models.save(file, [np.asarray(tiny_models.yolov8(BOXES))], metadata=tiny_models.NAMES)
    return load_model("tiny", ModelConfig(path=str(file), size=[160, 128], backend="onnxruntime"))


class Bench:
    """A model's worker that serves a stream, `cam`, and single images."""

    def __init__(self, model: Model, timeout_s: float = GENEROUS_S) -> None:
        self.clock = SystemClock()
        self.workers: dict[str, ModelWorker] = {}
        self.detector = ImageDetector(lambda: self.workers, self.clock, timeout_s)
        # Holds back the results of the stream, and with them all that come behind.
        self.gate = threading.Event()
        self.gate.set()
        self.stream = Sink("cam", lambda _result: self.gate.wait(GENEROUS_S))
        self.wanted = model.filter()
        self.batcher = Batcher(4, 0.0, self.clock)
        self.worker = ModelWorker(model, self.batcher, Meters().model("tiny"), self.clock)

    def start(self) -> None:
        self.worker.start(1)
        self.workers["tiny"] = self.worker

    def infer(self, confidence: float | None = None, **choice: Any) -> Result:
        return self.detector.detect(picture(), choice.get("model"), confidence)

    @property
    def forgotten(self) -> bool:
        return not self.detector._waiting


@pytest.fixture
def bench(model: Model) -> Iterator[Bench]:
    made = Bench(model)
    yield made
    made.gate.set()
    made.worker.stop(GENEROUS_S)


def picture(pixel_format: str = "yuv420p", width: int = 320, height: int = 256) -> av.VideoFrame:
    made = av.VideoFrame(width, height, pixel_format)
    for plane in made.planes:
        plane.update(bytes(plane.buffer_size))
    return made


def offer_frame(bench: Bench, index: int) -> None:
    one = job(bench.stream, index, bench.clock.monotonic(), 256, bench.wanted)
    bench.batcher.offer(one, picture("yuv420p", 256, 256), wait=True)


def test_picture_gets_its_objects_in_its_own_pixels(bench: Bench) -> None:
    bench.start()
    result = bench.infer()
    assert result.model.name == "tiny"
    assert (result.frame.width, result.frame.height) == (320, 256)
    np.testing.assert_allclose(result.detections.xyxy, [[32, 32, 128, 192], [160, 64, 288, 160]], atol=0.5)
    assert result.queued_s >= 0
    assert bench.forgotten
    assert bench.stream.results == []


@pytest.mark.parametrize(("confidence", "expected"), [(None, 2), (0.95, 0), (0.7, 1), (0.0, 3)])
def test_picture_has_its_own_least_confidence(bench: Bench, confidence: float | None, expected: int) -> None:
    bench.start()
    assert len(bench.infer(confidence).detections) == expected


@pytest.mark.parametrize(
    "pixel_format", ["rgb24", "rgba", "pal8", "argb", "yuva420p", "gray", "rgb48be", "ya8"]
)
def test_picture_may_have_any_pixel_format(bench: Bench, pixel_format: str) -> None:
    bench.start()
    assert len(bench.detector.detect(picture(pixel_format), None, None).detections) == 2


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 8000), (8000, 1), (3, 2)])
def test_picture_may_have_any_shape(bench: Bench, width: int, height: int) -> None:
    bench.start()
    found = bench.detector.detect(picture("yuv420p", width, height), None, None).detections
    assert (found.xyxy <= [width, height, width, height]).all()


def test_pictures_and_frames_of_streams_keep_apart(bench: Bench) -> None:
    bench.start()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(bench.infer, None if number % 2 else 0.7) for number in range(60)]
        for index in range(60):
            offer_frame(bench, index)
        counts = [len(answer.result().detections) for answer in answers]
    assert counts == [1, 2] * 30
    bench.worker.stop(GENEROUS_S)
    assert [result.frame.index for result in bench.stream.results] == list(range(60))
    assert bench.forgotten


def refusal(bench: Bench, **options: Any) -> tuple[str, str]:
    with pytest.raises(RequestError) as caught:
        bench.infer(**options)
    return caught.value.reason, str(caught.value)


def test_picture_is_refused_before_a_model_runs_and_after(bench: Bench) -> None:
    assert refusal(bench) == ("starting", "no model is loaded yet")
    bench.start()
    assert refusal(bench, model="tinny") == ("unknown", "unknown model `tinny`; did you mean `tiny`?")
    bench.worker.stop(GENEROUS_S)
    assert refusal(bench) == ("stopping", "the daemon stops")
    assert bench.forgotten
    bench.detector.close()
    assert refusal(bench)[0] == "stopping"


def test_picture_that_waits_too_long_is_withdrawn(model: Model) -> None:
    bench = Bench(model, 0.05)
    # No slot runs.
    bench.workers["tiny"] = bench.worker
    assert refusal(bench) == (
        "late",
        "no answer within 0.05 s: the daemon is overloaded",
    )
    assert bench.forgotten
    assert bench.batcher.collect(0.0) is None


def test_result_that_comes_too_late_harms_nothing(model: Model) -> None:
    bench = Bench(model, 0.5)
    bench.start()
    bench.gate.clear()
    offer_frame(bench, 0)
    assert refusal(bench)[0] == "late"
    bench.gate.set()
    wait_until(lambda: len(bench.stream.results) == 1)
    assert len(bench.infer().detections) == 2
    bench.worker.stop(GENEROUS_S)
    assert bench.forgotten


def test_picture_is_told_when_its_batch_fails(model: Model) -> None:
    class Faulty:
        best_batch, best_slots, best_waiting = 1, 1, 1
        warm = False

        def run(self, batch: NDArray[Any]) -> Any:
            if self.warm:
                raise ValueError("no luck")
            self.warm = True
            return model.backend.run(batch)

        def runner(self, postprocess: Any, _classes: int, batch: int) -> CpuRunner:
            return CpuRunner(self.run, postprocess, min(batch, 1))

        def close(self) -> None:
            """Nothing is held."""

    bench = Bench(replace(model, backend=Faulty()))
    bench.start()
    assert refusal(bench) == ("failed", "inference of this image's batch failed; the log says why")
    assert bench.forgotten
    bench.worker.stop(GENEROUS_S)


def test_those_who_wait_are_told_when_the_daemon_stops(bench: Bench) -> None:
    bench.workers["tiny"] = bench.worker  # no slot runs
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(refusal, bench)
        while not bench.detector._waiting:
            threading.Event().wait(0.005)
        bench.detector.close()
        assert answer.result(GENEROUS_S) == ("stopping", "the daemon stops")
    assert bench.forgotten
