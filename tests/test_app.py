"""The composition root: what it makes of a configuration, and that it stops whatever it started."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import ormsgpack
import pytest
from tests.inference import tiny_models
from tests.neighbours.clips import ClipShape, draw_clip
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Subscriber
from tests.waiting import wait_until

from framelane.app import App
from framelane.config.load import parse_config
from framelane.core.errors import ConfigError, ModelError
from framelane.core.redact import forget_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[..., App]

BOX = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    for name in ("tiny.onnx", "other.onnx"):
        outputs = [np.asarray(tiny_models.yolov8([BOX]))]
        tiny_models.save(folder / name, outputs, metadata=tiny_models.NAMES)
    (folder / "bad.onnx").write_text("no model")
    draw_clip(folder, "h264", ClipShape(160, 128, 20)).rename(folder / "clip.mp4")
    return folder


@pytest.fixture
def make(base: Path, tmp_path: Path) -> Iterator[Make]:
    """Makes an App of sections in YAML flow style; stops it with the test."""
    made: list[App] = []

    def app(**sections: str) -> App:
        good = {
            "node": "{id: node}",
            "jsonl": f"{{path: {tmp_path}/out.jsonl}}",
            "models": "{tiny: {path: tiny.onnx, size: [160, 128]}}",
            "streams": "[{id: clip, url: clip.mp4, realtime: false}]",
        }
        text = "\n".join(f"{name}: {value}" for name, value in {**good, **sections}.items())
        made.append(App(parse_config(text, base, {})))
        return made[-1]

    yield app
    for each in made:
        each.stop(10)
    forget_secrets()


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    file = tmp_path / "out.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def own_threads() -> set[str]:
    names = ("camera-", "infer-", "reporter", "mqtt", "jsonl", "http")
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(names)}


def test_app_takes_a_file_from_pixels_to_lines(make: Make, tmp_path: Path) -> None:
    app = make()
    assert not app.ended
    app.start()
    wait_until(lambda: app.ended)
    app.stop(10)
    found = lines(tmp_path)
    assert [line["seq"] for line in found] == list(range(1, 21))
    assert found[0]["detections"][0]["box"] == [16.0, 16.0, 64.0, 96.0]
    assert {line["run"] for line in found} == {app.run}
    counts = app.meters.snapshot().streams["clip"]
    assert (counts.decoded, counts.inferred, counts.published) == (20, 20, 20)


def test_app_publishes_as_told_of_each_stream_and_encodes_for_each_sink(make: Make, tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Subscriber(broker.url, "framelane/+/streams/#") as subscriber,
    ):
        app = make(
            mqtt=f'{{url: "{broker.url}", payload: msgpack}}',
            publish="{max_rate: 0.001}",
            streams="[{id: clip, url: clip.mp4, realtime: false, publish: {max_rate: null}}, "
            "{id: slow, url: clip.mp4, realtime: false}]",
        )
        app.start()
        wait_until(lambda: app.ended)
        app.stop(10)
        subscriber.wait_for_count(20, predicate=lambda message: message.topic.endswith("clip/detections"))
        packed = [
            ormsgpack.unpackb(each.payload)
            for each in subscriber.on_topic("framelane/+/streams/+/detections")
        ]
        states = [each.json["state"] for each in subscriber.on_topic("framelane/+/streams/clip/state")]
    assert sorted(packed, key=lambda body: (body["stream"], body["seq"])) == sorted(
        lines(tmp_path), key=lambda body: (body["stream"], body["seq"])
    )
    assert [(body["stream"], body["seq"]) for body in packed if body["stream"] == "slow"] == [("slow", 1)]
    assert "live" in states
    counts = app.meters.snapshot().streams["slow"]
    assert (counts.inferred, counts.published, counts.left_out) == (20, 1, {"empty": 0, "rate": 19})


def test_stop_ends_every_thread_and_may_come_twice(make: Make) -> None:
    before = own_threads()
    app = make(http='{listen: "127.0.0.1:0"}', streams="[{id: clip, url: clip.mp4, loop: true}]")
    app.start()
    assert own_threads() > before
    app.stop(10)
    app.stop(10)
    assert own_threads() == before


def test_start_loads_only_models_that_an_enabled_stream_uses(make: Make) -> None:
    app = make(
        models="{tiny: {path: tiny.onnx, size: [160, 128]}, bad: {path: bad.onnx}, idle: {path: bad.onnx}}",
        streams="[{id: clip, url: clip.mp4}, {id: off, url: clip.mp4, model: bad, enabled: false}]",
    )
    app.start()
    assert list(app.pool.workers) == ["tiny"]
    assert [camera.name for camera in app.roster.cameras] == ["camera-clip"]


def test_start_refuses_and_leaves_nothing_behind_when_a_model_is_bad(make: Make) -> None:
    before = own_threads()
    app = make(models="{tiny: {path: bad.onnx}}")
    with pytest.raises(ModelError, match=r"bad\.onnx is not an ONNX model"):
        app.start()
    app.stop(10)
    assert own_threads() == before


def test_start_reports_every_unknown_label_with_its_key(make: Make) -> None:
    app = make(
        streams="[{id: a, url: clip.mp4, classes: [persn]}, {id: b, url: clip.mp4, confidence: {lorry: 0.5}}]"
    )
    with pytest.raises(ConfigError) as caught:
        app.start()
    assert [finding.path for finding in caught.value.findings] == [
        "streams[0].classes[0]",
        "streams[1].confidence.lorry",
    ]


def test_streams_may_go_to_several_models_and_share_one_sequence(make: Make, tmp_path: Path) -> None:
    app = make(
        models="{tiny: {path: tiny.onnx, size: [160, 128]}, other: {path: other.onnx, size: [160, 128]}}",
        streams="[{id: clip, url: clip.mp4, realtime: false, model: [tiny, other]}]",
    )
    app.start()
    wait_until(lambda: app.ended)
    app.stop(10)
    found = lines(tmp_path)
    assert [line["seq"] for line in found] == list(range(1, 41))
    assert [line["model"]["name"] for line in found].count("other") == 20


def test_empty_results_are_left_out_when_they_are_unwanted(make: Make, tmp_path: Path) -> None:
    app = make(
        publish="{empty: never}",
        streams="[{id: clip, url: clip.mp4, realtime: false, classes: [car]}]",
    )
    app.start()
    wait_until(lambda: app.ended)
    app.stop(10)
    assert lines(tmp_path) == []
    assert app.meters.snapshot().streams["clip"].inferred == 20


def test_runs_of_one_configuration_have_different_ids(make: Make) -> None:
    assert make().run != make().run
