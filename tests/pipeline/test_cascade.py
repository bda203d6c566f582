"""When and how a second model looks at tracked objects, with a real second model and a clock that tests move."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from tests.models import second_files, tiny_models
from tests.sinks.examples import FakeClock
from tests.waiting import wait_until

from framelane.config.sections.model import ModelConfig
from framelane.config.sections.publish import PublishConfig
from framelane.core.errors import FramelaneError
from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.inference.batcher import Batcher
from framelane.inference.model import load_model
from framelane.inference.worker import ModelWorker
from framelane.pipeline.cascade import Cascade, CascadeOptions
from framelane.pipeline.stream import Plan, Stream
from framelane.telemetry.meters import ModelMeter, StreamMeter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from framelane.core.attributes import Attribute
    from framelane.footage.pixels import Region
    from framelane.inference.batcher import Batch

YOLOX = ModelInfo("yolox", "0" * 12, "test", ("person", "car"))
WIDTH, HEIGHT = 320, 240
RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)
BOX = (100.0, 80.0, 160.0, 140.0)
SMALL = (100.0, 80.0, 120.0, 100.0)
EVERY_S, DEADLINE_S = 1.0, 2.0

Box = tuple[float, float, float, float]


def picture(*painted: tuple[Box, tuple[int, int, int]]) -> av.VideoFrame:
    """A gray frame with boxes of a color, striped so that they are sharp, in the pixel format of cameras."""
    pixels = np.full((HEIGHT, WIDTH, 3), 114, np.uint8)
    for (left, top, right, bottom), color in painted:
        part = pixels[int(top) : int(bottom), int(left) : int(right)]
        part[:] = color
        part[::4] //= 2
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")


class Rig:
    """A cascade whose second model has slots only after `start`; else `batch` and `answer` stand for them."""

    def __init__(self, path: Path, **section: Any) -> None:
        self.clock = FakeClock()
        options = {"every_s": EVERY_S, "deadline_s": DEADLINE_S, "margin": 0.0, "linger_ms": 0, **section}
        config = ModelConfig(path=str(path), of="yolox", backend="onnxruntime", **options)
        self.model = load_model("second", config)
        batcher = Batcher(self.model.batch, 0.0, self.clock, crops=True)
        self.worker = ModelWorker(self.model, batcher, ModelMeter("second"), self.clock)
        self.first = cast("Any", SimpleNamespace(batcher=SimpleNamespace(replaced=0), slots=2))
        options_of = CascadeOptions.of(config, YOLOX.labels)
        self.cascade = Cascade("second", self.worker, self.first, options_of, self.clock)
        self._streams: dict[str, Stream] = {}
        self._index = 0
        self.at_s = 0.0

    def start(self) -> None:
        self.worker.start(1)

    def stream(self, name: str = "lobby") -> Stream:
        output: Any = None
        plan = Plan({}, {}, {}, None, PublishConfig())
        return self._streams.setdefault(name, Stream(name, StreamMeter(name), output, plan))

    def frame(
        self,
        objects: Sequence[tuple[int, Box]] = ((1, BOX),),
        pixels: Any = None,
        *,
        class_id: int = 1,
        stream: str = "lobby",
        pass_s: float = 0.0,
    ) -> None:
        """A batch of the first model with one frame, in which objects with these track ids are seen."""
        self.pass_time(pass_s)
        self._index += 1
        if pixels is None:
            pixels = picture(*((box, RED) for _, box in objects))
        info = FrameInfo(
            stream, self._index, self.at_s, 1000 + self.at_s, "media", self.clock.monotonic(), WIDTH, HEIGHT
        )
        found = Detections(
            np.array([box for _, box in objects], np.float32).reshape(-1, 4),
            np.full(len(objects), 0.75, np.float32),
            np.full(len(objects), class_id, np.int32),
            np.array([track for track, _ in objects], np.int64),
        )
        self.cascade.collect()
        self.cascade.saw(self.stream(stream), self.at_s, Result(info, YOLOX, found, 0.0, 0.0), pixels)
        self.cascade.dispatch()

    def idle(self) -> None:
        """A batch without frames, as when nothing comes for a while."""
        self.cascade.collect()
        self.cascade.dispatch()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.at_s += seconds

    def settle(self) -> None:
        """Wait until all crops that were cut have been answered, and take the answers in."""

        def settled() -> bool:
            self.cascade.collect()
            return not self.cascade._looks

        wait_until(settled)

    def batch(self) -> Batch:
        """Take waiting crops as a slot would."""
        batch = self.worker.batcher.collect(0.0)
        assert batch is not None
        return batch

    def counts(self, stream: str = "lobby") -> tuple[int, int, dict[str, int]]:
        """Crops of a stream that were sent, and answered; and dropped ones by reason."""
        crops = self.stream(stream).meter.crops("second").snapshot()
        return crops.sent, crops.answered, {why: count for why, count in crops.dropped.items() if count}

    def label(self, track: int = 1, stream: str = "lobby") -> str | None:
        found = self.attribute(track, stream)
        return None if found is None else found.label

    def attribute(self, track: int = 1, stream: str = "lobby") -> Attribute | None:
        (found,) = self.cascade.attributes(stream, [track])
        return found


@pytest.fixture
def colors(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(second_files.color_classifier(tmp_path / "color.onnx"))
    yield rig
    rig.worker.stop(5)


@pytest.fixture
def running(colors: Rig) -> Rig:
    colors.start()
    return colors


def test_object_gets_what_the_second_model_says_of_its_pixels(running: Rig) -> None:
    other = (200.0, 20.0, 260.0, 200.0)
    running.frame([(1, BOX), (2, other)], picture((BOX, BLUE), (other, GREEN)), pass_s=3.0)
    running.settle()
    assert (running.label(1), running.label(2), running.label(3)) == ("blue", "green", None)
    found = running.attribute()
    assert found is not None
    assert (found.model, found.at, found.parts) == ("second", 1003.0, None)
    assert found.confidence > 0.9
    assert running.counts() == (2, 2, {})


def test_news_of_an_object_are_told_once_and_those_that_follow_soon_wait(running: Rig) -> None:
    def look(color: tuple[int, int, int], pass_s: float = EVERY_S) -> list[int]:
        running.frame(pixels=picture((BOX, color)), pass_s=pass_s)
        running.settle()
        return running.cascade.news("lobby", running.at_s)

    assert look(RED) == [1]
    assert [look(RED) for _ in range(3)] == [[]] * 3
    # Three votes for red at most, so the fourth time it is blue; the news wait until five seconds are over.
    assert [look(BLUE, pass_s=1.001) for _ in range(4)] == [[], [], [], [1]]
    assert running.label() == "blue"
    assert running.cascade.news("gate", running.at_s) == []


def test_news_that_are_none_any_more_when_their_time_comes_are_not_told(running: Rig) -> None:
    running.frame()
    running.settle()
    assert running.cascade.news("lobby", running.at_s) == [1]
    for color in (BLUE, BLUE, RED, RED, RED, RED, RED):
        running.frame(pixels=picture((BOX, color)), pass_s=EVERY_S)
        running.settle()
        assert running.cascade.news("lobby", running.at_s) == []


def test_news_of_a_forgotten_stream_are_forgotten(running: Rig) -> None:
    running.frame()
    running.settle()
    running.cascade.forget("lobby")
    assert running.cascade.news("lobby", running.at_s) == []


@pytest.mark.parametrize(("fps", "seconds"), [(10, 3.95), (2, 4.0), (1, 4.0)])
def test_object_is_looked_at_once_per_every_s_whatever_the_frame_rate(
    fps: int, seconds: float, running: Rig
) -> None:
    for _ in range(int(seconds * fps)):
        running.frame(pass_s=1 / fps)
        running.settle()
    assert running.counts()[0] == 4


def test_objects_without_an_id_and_of_other_labels_are_not_looked_at(tmp_path: Path) -> None:
    rig = Rig(second_files.color_classifier(tmp_path / "color.onnx"), on=["car"])
    rig.frame([(-1, BOX)])
    rig.frame([(1, BOX)], class_id=0)
    assert rig.counts()[0] == 0
    rig.frame([(2, BOX)], class_id=1)
    assert rig.counts()[0] == 1


def test_best_view_since_the_last_look_is_the_one(colors: Rig) -> None:
    colors.frame([(1, BOX)])
    fail_one(colors)
    colors.frame([(1, SMALL)], pass_s=0.125)
    colors.frame([(1, BOX)], pass_s=0.375)
    colors.frame([(1, SMALL)], pass_s=0.5)
    batch = colors.batch()
    (job,), (image,) = batch.jobs, batch.images
    assert (image.width, image.height, job.info.captured_at) == (60, 60, 1000.5)


def test_crop_is_cut_from_the_best_view_with_its_margin(tmp_path: Path) -> None:
    rig = Rig(second_files.color_classifier(tmp_path / "color.onnx"), margin=0.25)
    rig.frame([(1, BOX)])
    batch = rig.batch()
    (job,), (image,) = batch.jobs, batch.images
    assert (image.width, image.height) == (90, 90)
    assert (job.crop, job.info.width, job.info.height) == (None, 90, 90)
    assert job.info.received_s == rig.clock.monotonic()


def test_crops_of_several_streams_share_a_batch(tmp_path: Path) -> None:
    rig = Rig(second_files.color_classifier(tmp_path / "color.onnx"), batch=4)
    for name in ("lobby", "gate", "yard"):
        rig.frame(stream=name)
    assert [job.info.stream for job in rig.batch().jobs] == ["lobby", "gate", "yard"]


def test_objects_wait_for_room_in_their_order_and_nothing_is_cut_for_them(colors: Rig) -> None:
    room = colors.cascade.room
    colors.frame([(track, BOX) for track in range(1, room + 1)])
    assert (colors.cascade.room, colors.counts()[0]) == (0, room)
    colors.frame([(100, BOX)], stream="gate", pass_s=0.1)
    colors.frame([(101, BOX)], stream="yard", pass_s=0.1)
    assert (colors.counts("gate")[0], colors.counts("yard")[0]) == (0, 0)
    fail_one(colors)
    colors.idle()
    assert (colors.counts("gate")[0], colors.counts("yard")[0]) == (1, 0)
    fail_one(colors)
    colors.idle()
    assert (colors.counts("gate")[0], colors.counts("yard")[0]) == (1, 1)


def fail_one(rig: Rig) -> None:
    """Give one crop back without an answer, as a slot does whose batch fails."""
    for job in rig.batch().jobs:
        job.destination.frame_dropped("failed")


def test_object_that_waits_too_long_loses_its_turn(colors: Rig) -> None:
    room = colors.cascade.room
    colors.frame([(track, BOX) for track in range(1, room + 1)])
    taken = [colors.batch() for _ in range(room)]
    colors.frame([(100, BOX)], stream="gate")
    colors.pass_time(DEADLINE_S)
    colors.idle()
    assert colors.counts("gate") == (0, 0, {})
    colors.pass_time(0.1)
    colors.idle()
    assert colors.counts("gate") == (0, 0, {"busy": 1})
    # Slots that hang get no more; once they are back, the object is looked at again.
    for batch in taken:
        batch.jobs[0].destination.frame_dropped("failed")
    colors.frame([(100, BOX)], stream="gate", pass_s=0.5)
    assert colors.counts("gate")[0] == 0
    colors.frame([(100, BOX)], stream="gate", pass_s=EVERY_S)
    assert colors.counts("gate")[0] == 1


def test_crop_that_waits_too_long_is_taken_back_and_counted_as_late(colors: Rig) -> None:
    colors.frame()
    colors.pass_time(DEADLINE_S)
    colors.idle()
    assert colors.counts() == (1, 0, {})
    colors.pass_time(0.1)
    colors.idle()
    assert colors.counts() == (1, 0, {"late": 1})
    assert colors.worker.batcher.collect(0.0) is None


@pytest.mark.parametrize(("took_s", "expected"), [(DEADLINE_S, "red"), (DEADLINE_S + 0.1, None)])
def test_answer_counts_only_within_the_deadline(took_s: float, expected: str | None, colors: Rig) -> None:
    colors.frame()
    (job,) = colors.batch().jobs
    colors.pass_time(took_s)
    whole = Detections(np.array([[0, 0, 60, 60]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32))
    job.destination.deliver(Result(job.info, colors.model.info, whole, 0.0, 0.0))
    colors.idle()
    assert colors.label() == expected
    assert colors.counts() == ((1, 1, {}) if expected else (1, 0, {"late": 1}))


def test_object_has_one_crop_on_its_way_at_most(colors: Rig) -> None:
    colors.frame()
    colors.batch()
    for _ in range(5):
        colors.frame(pass_s=EVERY_S)
    assert colors.counts()[0] == 1


def test_failed_batch_is_counted_and_the_object_looked_at_again(colors: Rig) -> None:
    colors.frame()
    fail_one(colors)
    colors.frame(pass_s=0.5)
    assert colors.counts() == (1, 0, {"failed": 1})
    colors.frame(pass_s=0.5)
    assert colors.counts()[0] == 2


def test_forgotten_stream_leaves_nothing_behind(running: Rig) -> None:
    running.frame()
    running.settle()
    assert running.label() == "red"
    running.frame(pass_s=EVERY_S)
    running.cascade.forget("lobby")
    running.settle()
    assert (running.label(), running.cascade._album.held_bytes, running.cascade._objects) == (None, 0, {})


def test_pixels_of_objects_that_have_left_are_let_go(colors: Rig) -> None:
    colors.frame([(1, BOX)])
    colors.frame([(1, BOX)], pass_s=0.2)
    assert colors.cascade._album.best("lobby", 1) is not None
    colors.frame([(2, BOX)], pass_s=6.0)
    assert colors.cascade._album.best("lobby", 1) is None


def test_changed_options_count_from_the_next_frame_on(colors: Rig) -> None:
    section = ModelConfig(path="m.onnx", of="yolox", on=["person"], every_s=3)
    colors.frame()
    fail_one(colors)
    colors.cascade.options = CascadeOptions.of(section, YOLOX.labels)
    colors.frame(pass_s=5.0)
    assert colors.counts()[0] == 1
    colors.frame(class_id=0, pass_s=5.0)
    assert colors.counts()[0] == 2


def test_detector_tells_what_it_finds_within_an_object(tmp_path: Path) -> None:
    plate = tiny_models.Box((40.0, 32.0, 120.0, 96.0), class_id=0, score=0.9)
    path = tiny_models.save(
        tmp_path / "plates.onnx", [tiny_models.yolov8([plate])], metadata=tiny_models.NAMES
    )
    rig = Rig(path)
    rig.start()
    # As wide and high as the model's input, so that no pixel is scaled.
    rig.frame([(1, (100.0, 80.0, 260.0, 208.0))])
    rig.settle()
    rig.worker.stop(5)
    found = rig.attribute()
    assert found is not None
    assert found.parts is not None
    assert [(part.label, part.xyxy) for part in found.parts] == [
        ("person", pytest.approx((140, 112, 220, 176), abs=0.1))
    ]


def test_first_model_that_lacks_time_keeps_almost_all_of_it(colors: Rig) -> None:
    objects = [(track, BOX) for track in range(1, 5)]
    colors.frame(objects[:1])
    fail_one(colors)
    # A crop takes 0.1 s. Two slots have 2 s in a second, and 1 % of that are 0.02 s.
    colors.worker.meter.batch_done(1, 0.05, 0.05, 0.0)
    colors.first.batcher.replaced += 1
    colors.frame(objects, pass_s=EVERY_S)
    assert colors.counts()[0] == 1
    colors.pass_time(0.1)
    colors.idle()
    assert colors.counts()[0] == 2
    colors.worker.meter.batch_done(1, 0.05, 0.05, 0.0)
    fail_one(colors)
    for _ in range(3):
        colors.first.batcher.replaced += 1
        colors.pass_time(0.5)
        colors.idle()
    assert colors.counts()[0] == 2


def test_best_view_is_not_looked_for_while_the_first_model_lacks_time(colors: Rig) -> None:
    colors.first.batcher.replaced += 1
    colors.frame([(1, BOX)])
    colors.frame([(1, SMALL)], pass_s=0.5)
    batch = colors.batch()
    (job,), (image,) = batch.jobs, batch.images
    assert (image.width, image.height, job.info.captured_at) == (20, 20, 1000.5)
    assert colors.cascade._album.held_bytes == 0


def test_view_from_before_the_last_look_never_counts_again(colors: Rig) -> None:
    colors.frame([(1, BOX)])
    fail_one(colors)
    colors.frame([(1, BOX)], pass_s=0.5)
    colors.first.batcher.replaced += 1
    colors.frame([(1, SMALL)], pass_s=0.5)
    colors.pass_time(0.1)
    colors.idle()
    fail_one(colors)
    colors.frame([(1, SMALL)], pass_s=2.5)
    (image,) = colors.batch().images
    assert (image.width, colors.counts()[0]) == (20, 3)


def test_second_model_runs_freely_again_once_the_first_keeps_up(colors: Rig) -> None:
    colors.first.batcher.replaced += 1
    colors.frame([(track, BOX) for track in range(1, 5)])
    colors.pass_time(1.9)
    colors.idle()
    assert colors.counts()[0] == 1
    colors.pass_time(0.1)
    colors.idle()
    assert colors.counts()[0] == 4


class OnGpu:
    """A frame on the GPU, whose regions come when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[Region, int]] = []
        self.crops: list[Future[av.VideoFrame]] = []

    def sharpness(self, region: Region) -> float | None:
        return 0.5

    def fetch(self, regions: Sequence[Region], longest: int) -> Any:
        self.asked += [(region, longest) for region in regions]
        crops: list[Future[av.VideoFrame]] = [Future() for _ in regions]
        self.crops += crops
        return SimpleNamespace(whole=None, crops=crops, whole_bytes=0)


def test_crop_of_a_frame_on_the_gpu_is_sent_once_it_has_come(colors: Rig) -> None:
    on_gpu, crop = OnGpu(), picture()
    colors.frame([(1, BOX)], on_gpu)
    assert on_gpu.asked == [((100, 80, 160, 140), 0)]
    assert colors.cascade._looks == {}
    on_gpu.crops[0].set_result(crop)
    colors.idle()
    batch = colors.batch()
    assert batch.images == [crop]
    assert (batch.jobs[0].crop, batch.jobs[0].info.width) == (None, crop.width)


def test_crop_that_never_comes_from_the_gpu_is_late_and_its_object_due_again(colors: Rig) -> None:
    colors.frame([(1, BOX)], OnGpu())
    colors.pass_time(DEADLINE_S + 0.1)
    colors.idle()
    assert colors.counts() == (1, 0, {"late": 1})
    colors.frame([(1, BOX)])
    assert colors.counts()[0] == 2


def test_crop_that_the_gpu_can_not_hand_over_has_failed(colors: Rig) -> None:
    on_gpu = OnGpu()
    colors.frame([(1, BOX)], on_gpu)
    on_gpu.crops[0].set_exception(FramelaneError("the GPU is lost"))
    colors.idle()
    assert colors.counts() == (1, 0, {"failed": 1})


def test_crops_on_their_way_from_the_gpu_take_room(colors: Rig) -> None:
    room, on_gpu = colors.cascade.room, OnGpu()
    colors.frame([(track, BOX) for track in range(1, room + 3)], on_gpu)
    assert colors.counts()[0] == room
    assert colors.cascade.room == 0


def test_newest_frame_on_the_gpu_counts_while_the_first_model_lacks_time(colors: Rig) -> None:
    colors.first.batcher.replaced += 1
    colors.frame([(1, BOX)])
    old, new = OnGpu(), OnGpu()
    colors.frame([(2, BOX)], old)
    colors.frame([(2, SMALL)], new, pass_s=0.1)
    fail_one(colors)
    colors.pass_time(1.9)
    colors.idle()
    assert old.asked == []
    assert new.asked == [((100, 80, 120, 100), 0)]


def test_frame_whose_pixels_are_gone_is_left_out(colors: Rig) -> None:
    info = FrameInfo("lobby", 0, 0.0, 1000.0, "media", 100.0, WIDTH, HEIGHT)
    found = Detections(
        np.array([BOX], np.float32), np.ones(1, np.float32), np.ones(1, np.int32), np.ones(1, np.int64)
    )
    colors.cascade.saw(colors.stream(), 0.0, Result(info, YOLOX, found, 0.0, 0.0), None)
    colors.idle()
    assert colors.counts()[0] == 0
