"""Second models in a running node, from decoding to the message."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import av
import jsonschema
import numpy as np
import pytest
from av.video.stream import VideoStream
from tests.models import second_files, tiny_models
from tests.waiting import wait_until

from framelane.config.yaml.load import parse_config
from framelane.core.errors import ConfigError
from framelane.messages import schemas
from framelane.node.daemon import make_node
from framelane.pipeline.local import LocalPipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from framelane.config.sections.schema import Config
    from framelane.node.node import Node

    Make = Callable[..., "Rig"]

BOXES = (
    tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9),
    tiny_models.Box((80.0, 32.0, 144.0, 80.0), class_id=2, score=0.8),
)
FACE, POINTS = (
    tiny_models.Box((20.0, 20.0, 60.0, 60.0), class_id=0, score=0.9),
    (30, 30, 50, 30, 40, 40, 32, 50, 48, 50),
)
RED, BLUE, DARK = (220, 30, 30), (30, 30, 220), (40, 20, 20)
FRAMES, FPS = 75, 25
COLOR = "color: {path: color.onnx, of: tiny}"
SLOW = "slow: {path: slow.onnx, of: tiny, deadline_s: 0.05}"
FUSSY = "fussy: {path: fussy.onnx, of: tiny}"


def write_clip(path: Path, *colors: tuple[int, int, int]) -> None:
    """A clip in which the boxes have these colors, with a line that moves so that frames differ."""
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "threads": "1"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for number in range(FRAMES):
            pixels = np.full((128, 160, 3), 30, np.uint8)
            for box, color in zip(BOXES, colors, strict=True):
                left, top, right, bottom = (int(side) for side in box.xyxy)
                pixels[top:bottom, left:right] = color
                pixels[top:bottom:8, left:right] //= 2
            pixels[number, :] = 60
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        sink.mux(stream.encode(None))


class Rig:
    """A running node with one stream of two still objects: a red person and a blue car."""

    def __init__(self, base: Path, models: str, options: str) -> None:
        self.base = base
        self.options = options
        self.node: Node = make_node(self.config(models), threading.Event())
        pipeline = self.node.pipeline
        assert isinstance(pipeline, LocalPipeline)
        self.pipeline = pipeline

    def config(self, models: str) -> Config:
        second = f"{models}, " if models else ""
        text = f"""
node: {{id: node, stats_s: 1}}
jsonl: {{path: {self.base}/out.jsonl, kinds: [detections, events, state, stats]}}
models: {{{second}tiny: {{path: tiny.onnx, size: [160, 128]}}}}
streams: [{{id: lobby, model: tiny, track: true, {self.options}}}]
"""
        return parse_config(text, self.base, {})

    def go_over_to(self, models: str) -> None:
        config = self.config(models)
        self.node.prepare(config)
        self.node.commit(config)

    def lines(self, schema: str) -> list[dict[str, Any]]:
        file = self.base / "out.jsonl"
        found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in found if line["schema"] == f"framelane.{schema}/1"]

    def attributes(self) -> dict[str, dict[str, Any]]:
        """What the newest frame says of each object, by its label."""
        newest = self.lines("detections")[-1:]
        return {each["label"]: each.get("attributes", {}) for line in newest for each in line["detections"]}

    def labels(self, model: str = "color") -> dict[str, str]:
        """What the newest frame says of each object's color, by the object's label."""
        return {label: found[model]["label"] for label, found in self.attributes().items() if model in found}

    def crops(self, model: str) -> tuple[int, int, int]:
        """Crops that were sent, answered and dropped."""
        crops = self.pipeline.meters.snapshot().streams["lobby"].crops
        if model not in crops:
            return 0, 0, 0
        return crops[model].sent, crops[model].answered, sum(crops[model].dropped.values())


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes and starts a node with these second models."""
    outputs = [np.asarray(tiny_models.yolov8(BOXES))]
    tiny_models.save(tmp_path / "tiny.onnx", outputs, metadata=tiny_models.NAMES)
    second_files.color_classifier(tmp_path / "color.onnx")
    second_files.slow_classifier(tmp_path / "slow.onnx")
    second_files.fussy_classifier(tmp_path / "fussy.onnx")
    faces = second_files.yunet([FACE], [POINTS])
    tiny_models.save(tmp_path / "faces.onnx", list(faces.values()), names=list(faces))
    write_clip(tmp_path / "clip.mp4", RED, BLUE)
    write_clip(tmp_path / "dark.mp4", DARK, DARK)
    made: list[Rig] = []

    def make_it(models: str, options: str = "url: clip.mp4, loop: true, fps: 10") -> Rig:
        rig = Rig(tmp_path, models, options)
        made.append(rig)
        rig.node.start()
        return rig

    yield make_it
    for each in made:
        each.node.stop(10)


def test_objects_have_attributes_in_detections_events_and_statistics(make: Make) -> None:
    zone = "zones: {yard: {polygon: [[0, 0], [1, 0], [1, 1], [0, 1]], enter_s: 0, loiter_s: 2}}"
    rig = make(COLOR, f"url: clip.mp4, loop: true, fps: 10, {zone}")
    wait_until(lambda: rig.labels() == {"person": "red", "car": "blue"})
    found = rig.attributes()["person"]["color"]
    assert set(found) == {"label", "confidence", "at"}
    wait_until(lambda: bool(loitering(rig)))
    wait_until(lambda: any(line["crops"]["color"]["answered"] for line in rig.lines("stats")))
    assert {each["object"]["attributes"]["color"]["label"] for each in loitering(rig)} <= {"red", "blue"}
    for schema in ("detections", "event", "stats"):
        for line in rig.lines(schema):
            jsonschema.validate(line, schemas.load(schema))


def loitering(rig: Rig) -> list[dict[str, Any]]:
    """Events of objects that have been seen for two seconds."""
    return [line for line in rig.lines("event") if line["kind"] == "loiter"]


def test_first_answer_about_an_object_is_an_update_and_the_same_one_again_is_none(make: Make) -> None:
    rig = make(COLOR, "url: clip.mp4, loop: true, fps: 10, events: {still_s: 3600}")
    wait_until(lambda: rig.crops("color")[1] >= 6)
    told = [
        (line["object"]["label"], line["object"]["attributes"]["color"]["label"])
        for line in rig.lines("event")
        if line["kind"] == "update" and line["object"]["track_id"] <= len(BOXES)
    ]
    assert sorted(told) == [("car", "blue"), ("person", "red")]


def test_only_labels_of_on_are_looked_at(make: Make) -> None:
    rig = make("color: {path: color.onnx, of: tiny, on: [car]}")
    wait_until(lambda: rig.labels() == {"car": "blue"})
    assert set(rig.attributes()) == {"person", "car"}


def test_slow_second_model_costs_the_first_no_frame_and_is_counted(make: Make) -> None:
    rig = make(SLOW, "url: clip.mp4, realtime: false")
    wait_until(lambda: rig.node.ended)
    wait_until(lambda: rig.crops("slow")[2] > 0)
    wait_until(lambda: len(rig.lines("detections")) == FRAMES)
    lines = rig.lines("detections")
    assert [line["seq"] for line in lines] == list(range(1, FRAMES + 1))
    assert [line["dropped"] for line in lines] == [0] * FRAMES
    assert not any("attributes" in each for line in lines for each in line["detections"])


def test_second_model_that_fails_shows_in_the_state_and_detections_go_on(make: Make) -> None:
    plain = "{id: plain, model: tiny, url: dark.mp4, loop: true, fps: 5"
    rig = make(FUSSY, f"url: dark.mp4, realtime: false, loop: true}}, {plain}")

    def reasons(stream: str) -> set[tuple[str, str]]:
        return {(line["state"], line["reason"]) for line in rig.lines("state") if line["stream"] == stream}

    wait_until(lambda: ("live", "model") in reasons("lobby"))
    wait_until(lambda: ("live", "ok") in reasons("plain"))
    (text,) = {line["text"] for line in rig.lines("state") if line["reason"] == "model"}
    assert "model fussy fails on every batch" in text
    before = rig.pipeline.meters.snapshot().streams["lobby"].published
    wait_until(lambda: rig.pipeline.meters.snapshot().streams["lobby"].published > before + FRAMES)
    assert rig.pipeline.missing == []
    # It tracks nothing, so the model does not look at its objects.
    assert ("live", "model") not in reasons("plain")
    assert rig.pipeline.meters.snapshot().streams["lobby"].crops["fussy"].dropped["failed"] >= 3
    assert rig.labels("fussy") == {}


def test_second_models_come_change_and_go_without_opening_a_camera_again(make: Make) -> None:
    def opened(rig: Rig) -> int:
        return [line["state"] for line in rig.lines("state")].count("connecting")

    rig = make("")
    wait_until(lambda: len(rig.lines("detections")) > 3)
    openings = opened(rig)
    rig.go_over_to(COLOR)
    wait_until(lambda: rig.labels() == {"person": "red", "car": "blue"})
    rig.go_over_to("color: {path: color.onnx, of: tiny, on: [car], every_s: 1.5}")
    before = rig.crops("color")[0]
    wait_until(lambda: rig.crops("color")[0] >= before + 2)
    rig.go_over_to("")
    wait_until(lambda: bool(rig.attributes()) and rig.labels() == {})
    assert opened(rig) == openings


def test_labels_that_the_first_model_lacks_are_found_when_its_labels_are_known(make: Make) -> None:
    rig = make("")
    with pytest.raises(ConfigError) as caught:
        rig.go_over_to("color: {path: color.onnx, of: tiny, on: [truck]}")
    assert "models.color.on[0]: unknown label `truck`" in str(caught.value)


def test_objects_of_two_second_models_have_both_attributes(make: Make) -> None:
    rig = make(f"{COLOR}, other: {{path: color.onnx, of: tiny, on: [person]}}")
    wait_until(lambda: set(rig.attributes().get("person", {})) == {"color", "other"})
    assert set(rig.attributes()["car"]) <= {"color"}


def test_faces_within_people_come_with_their_points(make: Make) -> None:
    # The person is 48 x 80 pixels, and the model's input 160 x 128.
    rig = make("faces: {path: faces.onnx, of: tiny, on: [person], labels: [face], margin: 0}")
    wait_until(lambda: "faces" in rig.attributes().get("person", {}))
    (line,) = rig.lines("detections")[-1:]
    jsonschema.validate(line, schemas.load("detections"))
    found = rig.attributes()["person"]["faces"]
    assert (found["label"], found["confidence"]) == ("face", 0.9)
    (part,) = found["parts"]
    # Letterboxed, it is 76 x 128 pixels.
    x, y = 48 / 76, 80 / 128
    assert part["box"] == pytest.approx([16 + 20 * x, 16 + 20 * y, 16 + 60 * x, 16 + 60 * y], abs=0.2)
    assert part["keypoints"][0] == pytest.approx([16 + 30 * x, 16 + 30 * y, 1.0], abs=0.2)
    assert len(part["keypoints"]) == 5
    assert rig.attributes()["car"] == {}


def test_image_can_be_sent_to_any_model_and_goes_to_one_of_frames_by_default(make: Make) -> None:
    rig = make(COLOR)
    image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), RED, np.uint8), format="rgb24")
    own, color = (rig.pipeline.detector.detect(image, model, None) for model in (None, "color"))
    assert (own.model.name, color.model.name) == ("tiny", "color")
    labels = [color.model.labels[number] for number in color.detections.class_id]
    assert (labels, color.detections.xyxy.tolist()) == (["red"], [[0, 0, 64, 48]])
