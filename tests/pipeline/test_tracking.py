"""Track ids in what is published, from decoding to the message."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import tiny_models
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sinks.examples import FakeClock
from tests.waiting import wait_until

from framelane.analytics.rules.ruleset import RuleSet
from framelane.config.sections.publish import PublishConfig
from framelane.config.sections.rules import EventsConfig, ZoneConfig
from framelane.config.yaml.load import parse_config
from framelane.core.events import Event, Occupancy
from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.inference.job import Delivery
from framelane.messages.detections import Origin
from framelane.models.heads.class_filter import ClassFilter
from framelane.node.daemon import make_node
from framelane.pipeline.stream import Plan, Stream
from framelane.pipeline.tracking import TrackingStage
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from framelane.node.node import Node

BOXES = (
    tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9),
    # Below the stream's threshold, so it may only continue a track.
    tiny_models.Box((80.0, 32.0, 144.0, 80.0), class_id=0, score=0.3),
)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Node]]:
    """Makes a node with these streams of a clip."""
    outputs = [np.asarray(tiny_models.yolov8(BOXES))]
    tiny_models.save(tmp_path / "tiny.onnx", outputs, metadata=tiny_models.NAMES)
    draw_clip(tmp_path, "h264", ClipShape(160, 128, 20)).rename(tmp_path / "clip.mp4")
    made: list[Node] = []

    def make_it(streams: str) -> Node:
        text = f"""
jsonl: {{path: {tmp_path}/out.jsonl}}
models: {{tiny: {{path: tiny.onnx, size: [160, 128]}}}}
defaults: {{realtime: false, confidence: 0.5}}
streams: {streams}
"""
        made.append(make_node(parse_config(text, tmp_path, {}), threading.Event()))
        return made[0]

    yield make_it
    for each in made:
        each.stop(10)


def lines(tmp_path: Path, stream: str) -> list[dict[str, Any]]:
    file = tmp_path / "out.jsonl"
    found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [line for line in found if line["stream"] == stream]


def test_objects_of_a_stream_with_track_have_ids_and_others_have_none(
    make: Callable[[str], Node], tmp_path: Path
) -> None:
    node = make("[{id: tracked, url: clip.mp4, track: true}, {id: plain, url: clip.mp4}]")
    node.start()
    wait_until(lambda: node.ended)
    node.stop(10)
    tracked, plain = lines(tmp_path, "tracked"), lines(tmp_path, "plain")
    ids = [[each.get("track_id") for each in line["detections"]] for line in tracked]
    assert ids == [[None]] + [[1]] * 19
    assert {len(line["detections"]) for line in plain} == {1}
    assert not any("track_id" in each for line in plain for each in line["detections"])
    counts = node.pipeline.meters.snapshot().streams
    assert (counts["tracked"].tracks, counts["plain"].tracks) == (1, 0)


def test_tracks_end_when_the_stream_is_changed_and_ids_go_on(
    make: Callable[[str], Node], tmp_path: Path
) -> None:
    node = make("[{id: tracked, url: clip.mp4, track: true, loop: true, fps: 50}]")
    node.start()

    def newest() -> int:
        found = lines(tmp_path, "tracked")
        return max((each.get("track_id", 0) for line in found for each in line["detections"]), default=0)

    wait_until(lambda: newest() >= 1)
    before = newest()
    (first,) = node.config.streams
    changed = node.config.model_copy(update={"streams": [first.model_copy(update={"confidence": 0.6})]})
    node.prepare(changed)
    node.commit(changed)
    wait_until(lambda: newest() == before + 1)


YARD = {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "enter_s": 0}


class Taken:
    """Takes events."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.counts: list[Occupancy] = []

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        self.events += [each for each in happenings if isinstance(each, Event)]
        self.counts += [each for each in happenings if isinstance(each, Occupancy)]

    @property
    def told(self) -> list[tuple[str, int, str | None]]:
        return [
            (each.kind, each.object.track_id, each.reason) for each in self.events if each.kind != "update"
        ]


class Shared:
    """A stream whose frames the stage gets, with one confident and one weak detection each."""

    def __init__(self, zones: dict[str, Any] | None = None) -> None:
        output: Any = None
        self.taken, self.clock = Taken(), FakeClock()
        self.stage = TrackingStage("tiny", Origin("node", "run"), self.taken, self.clock)
        rules = RuleSet.of(
            {},
            {name: ZoneConfig.model_validate(zone) for name, zone in (zones or {}).items()},
            EventsConfig(),
            ("thing",),
        )
        self.plan = Plan({}, {}, {} if zones is None else {"tiny": rules}, None, PublishConfig())
        self.stream = Stream("lobby", StreamMeter("lobby"), output, self.plan)
        self.stream.connected = True
        self._index = 0

    def delivery(self, shown: ClassFilter | None, stream: Stream | None = None) -> Delivery:
        """The next frame's result, of this stream or of another."""
        self._index += 1
        self.clock.advance(0.1)
        boxes = np.array([[16, 16, 64, 96], [80, 32, 144, 80]], np.float32)
        detections = Detections(boxes, np.array([0.75, 0.25], np.float32), np.zeros(2, np.int32))
        model = ModelInfo("tiny", "0" * 12, "test", ("thing",))
        stream = stream or self.stream
        info = FrameInfo(
            stream.id,
            self._index,
            self._index / 10,
            1000 + self._index / 10,
            "media",
            self._index / 10,
            640,
            360,
        )
        result = Result(info, model, detections, 0.0, 0.0)
        return Delivery(stream, result, shown)

    def frame(self, shown: ClassFilter | None) -> Detections:
        """What is delivered of the next frame."""
        (tracked,) = self.stage([self.delivery(shown)])
        return tracked.result.detections

    def found(self, shown: ClassFilter | None) -> tuple[list[float], list[int] | None]:
        """Confidences and track ids of the next frame."""
        found = self.frame(shown)
        ids = found.track_id
        return found.confidence.tolist(), None if ids is None else ids.tolist()


HALF = ClassFilter.of(np.array([0.5], np.float32))


def test_frames_in_flight_go_by_the_thresholds_that_they_were_read_with() -> None:
    shared = Shared()
    assert [shared.found(HALF) for _ in range(2)] == [([0.75], [-1]), ([0.75], [1])]
    # The stream is no longer tracked, but this frame was read before, with weak detections wanted.
    assert not shared.stream.plan.shown
    assert shared.found(HALF) == ([0.75], [1])
    assert shared.found(None) == ([0.75, 0.25], None)


def test_frames_of_a_removed_stream_show_no_weak_detections_and_begin_no_track() -> None:
    shared = Shared()
    shared.found(HALF)
    shared.stream.left = True
    shared.stage.forget("lobby")
    assert shared.found(HALF) == ([0.75], None)


def test_tracks_end_when_thresholds_or_the_connection_change() -> None:
    shared = Shared()
    other = ClassFilter.of(np.array([0.25], np.float32))
    assert [shared.found(HALF)[1] for _ in range(2)] == [[-1], [1]]
    assert [shared.found(other)[1] for _ in range(2)] == [[-1, -1], [2, 3]]
    shared.stream.connection += 1
    assert [shared.found(other)[1] for _ in range(2)] == [[-1, -1], [4, 5]]


def test_events_and_zones_come_with_the_frames_that_show_them() -> None:
    shared = Shared({"yard": YARD})
    zones = [None if (found := shared.frame(HALF).zones) is None else found.tolist() for _ in range(3)]
    assert zones == [None, [("yard",)], [("yard",)]]
    assert shared.taken.told == [("new", 1, None), ("zone_enter", 1, None)]
    new = shared.taken.events[0]
    assert (new.object.id, new.model, new.at) == ("node/lobby/run/1", "tiny", pytest.approx(1000.1))
    assert [(each.zone, each.count) for each in shared.taken.counts] == [("yard", 1)]


def test_stream_without_events_makes_none() -> None:
    shared = Shared()
    for _ in range(3):
        shared.frame(HALF)
    assert shared.taken.events == []


def test_objects_end_when_their_connection_is_over_and_nothing_comes_any_more() -> None:
    shared = Shared({"yard": YARD})
    for _ in range(3):
        shared.frame(HALF)
    shared.stream.connected = False
    shared.stage([])
    shared.clock.advance(0.7)
    shared.stage([])
    assert shared.taken.told[2:] == []
    shared.clock.advance(0.7)
    shared.stage([])
    assert shared.taken.told[2:] == [("zone_exit", 1, None), ("end", 1, "stream")]
    assert [each.count for each in shared.taken.counts] == [1, 0]
    assert shared.stream.meter.snapshot().tracks == 0


def test_counts_are_said_again_after_a_reconnect() -> None:
    shared = Shared({"yard": {**YARD, "classes": ["thing"]}})
    for _ in range(3):
        shared.frame(HALF)
    shared.stream.connection += 1
    for _ in range(2):
        shared.frame(HALF)
    assert shared.taken.told == [
        ("new", 1, None),
        ("zone_enter", 1, None),
        ("zone_exit", 1, None),
        ("end", 1, "stream"),
        ("new", 2, None),
        ("zone_enter", 2, None),
    ]
    assert [each.count for each in shared.taken.counts] == [0, 1, 0, 1]


@pytest.mark.parametrize("way", ["tracking off", "removed", "rules off"])
def test_objects_end_with_what_made_them(way: str) -> None:
    shared = Shared({"yard": YARD})
    for _ in range(3):
        shared.frame(HALF)
    if way == "tracking off":
        shared.frame(None)
    elif way == "removed":
        shared.stream.left = True
        shared.stage.forget("lobby")
        shared.stage([])
    else:
        shared.stream.plan = replace(shared.plan, rules={})
        shared.frame(HALF)
    assert shared.taken.told[2:] == [("zone_exit", 1, None), ("end", 1, "stream")]


def test_stream_that_is_no_longer_tracked_has_no_tracks() -> None:
    shared = Shared()
    for _ in range(3):
        shared.frame(HALF)
    assert shared.stream.meter.snapshot().tracks == 1
    shared.frame(None)
    assert shared.stream.meter.snapshot().tracks == 0


def test_streams_with_and_without_events_share_a_batch() -> None:
    shared = Shared({"yard": YARD})
    plain = replace(shared.plan, rules={})
    output: Any = None
    streams = [shared.stream, *(Stream(f"s{n}", StreamMeter(f"s{n}"), output, shared.plan) for n in range(4))]
    # Fewer frames in the batch than there are streams with events.
    for index in range(4):
        batch = [shared.delivery(HALF, stream) for stream in streams]
        shared.stage(batch if index == 0 else batch[:1])
    other = Stream("plain", StreamMeter("plain"), output, plain)
    for _ in range(3):
        done = shared.stage([shared.delivery(HALF, stream) for stream in (shared.stream, other)])
    ids = [each.result.detections.track_id for each in done]
    assert [None if each is None else each.tolist() for each in ids] == [[1], [1]]
    assert {each.stream for each in shared.taken.events} == {"lobby"}
