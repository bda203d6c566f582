"""Frames of one connection on their way to models, with real batchers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.sinks.examples import frame

from framelane.config.sections.publish import PublishConfig
from framelane.core.frames import Frame
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.input.letterbox import Crop
from framelane.pipeline.stream import Plan, Stream, StreamInput, all_ended
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from framelane.core.frames import Result

WANTED = ClassFilter.of(np.zeros(1, np.float32))
PICTURE = SimpleNamespace(width=1920, height=1080)


class Batcher:
    """Notes what it is offered."""

    def __init__(self) -> None:
        self.members: list[Any] = []
        self.offered: list[Any] = []

    def join(self, stream: Any) -> None:
        self.members.append(stream)

    def leave(self, stream: Any) -> None:
        self.members.remove(stream)

    def offer(self, job: Any, picture: Any, *, wait: bool) -> None:
        self.offered.append((job, picture, wait))


class Output:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def follow(self, publish: PublishConfig) -> None:
        self.told.append(publish)

    def publish(self, result: Result) -> None:
        self.told.append(result)


def plan(*models: str, crop: Crop | None = None) -> Plan:
    wanted = dict.fromkeys(models, WANTED)
    return Plan(wanted, {}, {}, crop, PublishConfig())


class Rig:
    def __init__(self, *models: str) -> None:
        self.output = Output()
        output: Any = self.output
        self.meter = StreamMeter("lobby")
        self.stream = Stream("lobby", self.meter, output, plan(*models))
        self.batchers = {model: Batcher() for model in models}
        self.workers: Any = {
            model: SimpleNamespace(batcher=each, pictured=0) for model, each in self.batchers.items()
        }
        self.input = StreamInput(self.stream, self.workers)

    def offer(self, index: int = 0, *, wait: bool = False) -> None:
        self.input.offer(Frame(frame(index), PICTURE), wait=wait)


@pytest.mark.parametrize("wait", [False, True])
def test_offer_gives_a_frame_to_each_model_of_the_plan(*, wait: bool) -> None:
    rig = Rig("yolox", "plates")
    rig.offer(7, wait=wait)
    for batcher in rig.batchers.values():
        ((job, picture, waits),) = batcher.offered
        assert (job.info.index, job.destination, job.wanted, picture, waits) == (
            7,
            rig.stream,
            WANTED,
            PICTURE,
            wait,
        )


def test_offer_goes_by_the_newest_plan_and_leaves_out_models_that_it_lacks() -> None:
    rig = Rig("yolox", "plates")
    rig.offer(0)
    crop = Crop.of([0.0, 0.0, 0.5, 0.5])
    rig.stream.follow(plan("plates", "later", crop=crop))
    rig.offer(1)
    found = {
        key: [(job.info.index, job.crop) for job, *_ in each.offered] for key, each in rig.batchers.items()
    }
    assert found == {"yolox": [(0, None)], "plates": [(0, None), (1, crop)]}


@pytest.mark.parametrize("track", [False, True])
@pytest.mark.parametrize("pictured", [0, 512])
def test_pixels_of_tracked_frames_are_passed_on_for_second_models(pictured: int, *, track: bool) -> None:
    rig = Rig("yolox")
    rig.workers["yolox"].pictured = pictured
    if track:
        rig.stream.plan = replace(rig.stream.plan, shown={"yolox": WANTED})
    rig.offer()
    ((job, *_),) = rig.batchers["yolox"].offered
    assert job.pictured == (pictured if track else 0)


def test_join_and_leave_are_told_to_all_models_of_the_connection() -> None:
    rig = Rig("yolox", "plates")
    rig.input.join()
    # The plan may have changed meanwhile.
    rig.stream.follow(plan("later"))
    assert [each.members for each in rig.batchers.values()] == [[rig.stream], [rig.stream]]
    rig.input.leave()
    assert [each.members for each in rig.batchers.values()] == [[], []]


def test_follow_tells_the_output_what_to_publish() -> None:
    rig = Rig("yolox")
    publish = PublishConfig(empty="never")
    rig.stream.follow(Plan({}, {}, {}, None, publish))
    assert rig.output.told == [publish]


def test_frames_are_counted_by_the_streams_meter() -> None:
    rig = Rig("yolox")
    rig.stream.frame_inferred(0.25, 0.5)
    rig.stream.frame_dropped("late")
    rig.stream.frame_dropped("replaced", 3)
    counts = rig.meter.snapshot()
    assert (counts.inferred, counts.queued_s, counts.inferred_s) == (1, 0.25, 0.5)
    assert (counts.dropped["late"], counts.dropped["replaced"]) == (1, 3)


@pytest.mark.parametrize(
    ("troubles", "expected"),
    [
        ([], ""),
        ([None, None], ""),
        ([None, "b fails"], "b fails"),
        (["a fails", "b fails"], "a fails; b fails"),
    ],
)
def test_look_tells_which_models_fail(troubles: list[str | None], expected: str) -> None:
    rig = Rig()
    told: list[str] = []
    stream: Any = rig.stream
    stream.status = SimpleNamespace(model_failing=told.append)
    stream.models = tuple(SimpleNamespace(trouble=trouble) for trouble in troubles)
    rig.stream.look()
    assert [expected] == told


@pytest.mark.parametrize(
    ("alive", "expected"), [([], False), ([True], False), ([False], True), ([False, True], False)]
)
def test_all_ended_needs_a_stream_and_no_camera_that_lives(alive: list[bool], *, expected: bool) -> None:
    streams: Any = [SimpleNamespace(camera=SimpleNamespace(alive=each)) for each in alive]
    assert expected is all_ended(streams)


def test_frames_and_results_are_shown_to_whoever_watches() -> None:
    rig = Rig("yolox")
    rig.offer(1)
    seen: list[Any] = []
    rig.stream.tap.frame = lambda frame: seen.append(frame.info.index)
    rig.stream.tap.result = seen.append
    rig.offer(2)
    found: Any = SimpleNamespace()
    rig.stream.deliver(found)
    assert seen == [2, found]
    # And nothing changes for the others.
    assert [job.info.index for job, _, _ in rig.batchers["yolox"].offered] == [1, 2]
    assert rig.output.told == [found]
