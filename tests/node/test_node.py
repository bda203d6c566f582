"""A node in one process: what it makes of a configuration, and that it stops whatever it started."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import av
import cv2
import httpx
import numpy as np
import onnx
import ormsgpack
import pytest
from av.video.stream import VideoStream
from onnx import TensorProto, helper, numpy_helper
from tests.models import tiny_models
from tests.neighbours.clips import ClipShape, draw_clip
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Subscriber
from tests.waiting import wait_until

from framelane.config.yaml.load import parse_config
from framelane.core.errors import ConfigError, ModelError
from framelane.core.redact import forget_secrets
from framelane.node.daemon import make_node
from framelane.pipeline.local import LocalPipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.node.node import Node

    Make = Callable[..., Node]

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
    """Makes an Node of sections in YAML flow style; stops it with the test."""
    made: list[Node] = []

    def app(**sections: str) -> Node:
        good = {
            "node": "{id: node}",
            "jsonl": f"{{path: {tmp_path}/out.jsonl}}",
            "models": "{tiny: {path: tiny.onnx, size: [160, 128]}}",
            "streams": "[{id: clip, url: clip.mp4, realtime: false}]",
        }
        text = "\n".join(f"{name}: {value}" for name, value in {**good, **sections}.items())
        made.append(make_node(parse_config(text, base, {}), threading.Event()))
        return made[-1]

    yield app
    for each in made:
        each.stop(10)
    forget_secrets()


def local(node: Node) -> LocalPipeline:
    assert isinstance(node.pipeline, LocalPipeline)
    return node.pipeline


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    file = tmp_path / "out.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def own_threads() -> set[str]:
    names = ("camera-", "infer-", "deliver-", "housekeeping", "mqtt", "jsonl", "http")
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
    counts = app.pipeline.meters.snapshot().streams["clip"]
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
    counts = app.pipeline.meters.snapshot().streams["slow"]
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
    assert list(local(app).pool.workers) == ["tiny"]
    assert [camera.name for camera in local(app).streams.cameras] == ["camera-clip"]


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
    assert app.pipeline.meters.snapshot().streams["clip"].inferred == 20


def test_runs_of_one_configuration_have_different_ids(make: Make) -> None:
    assert make().run != make().run


def test_a_model_that_fails_on_every_batch_is_named_and_keeps_the_node_from_being_ready(
    make: Make, tmp_path: Path, base: Path
) -> None:
    """The model can't run dark pictures, which the clip is full of; neither its trial nor the warm-up is dark."""
    picky_model(base / "picky.onnx")
    dark_clip(base / "dark.mp4")
    app = make(
        models="{picky: {path: picky.onnx}, tiny: {path: tiny.onnx, size: [160, 128]}}",
        streams="[{id: dark, url: dark.mp4, loop: true}, {id: clip, url: clip.mp4, loop: true, model: tiny}]",
        jsonl=f"{{path: {tmp_path}/out.jsonl, kinds: [detections, state, status]}}",
    )
    app.start()
    wait_until(lambda: any(state.reason == "model" for state in app.board.streams()))
    states = {state.stream: state for state in app.board.streams()}
    assert states["dark"].state == "live"
    assert states["dark"].text.startswith("frames arrive; model picky fails on every batch: ")
    wait_until(lambda: app.board.node().reason == "model")
    assert app.board.node().text == f"stream dark: {states['dark'].text}"
    (reason,) = app.health.readiness().reasons
    assert reason.startswith("model picky fails on every batch: ")
    assert app.health.liveness().ok
    wait_until(lambda: any(line.get("reason") == "model" for line in lines(tmp_path)))
    assert {line["stream"] for line in lines(tmp_path) if "detections" in line} <= {"clip"}


def dark_clip(path: Path) -> None:
    black = av.VideoFrame.from_ndarray(np.zeros((128, 160, 3), np.uint8), format="rgb24")
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=25, options={"threads": "1"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for _ in range(20):
            sink.mux(stream.encode(black))
        sink.mux(stream.encode(None))


def picky_model(path: Path) -> None:
    """A model that looks up the number 0 for bright pictures and 1, which is not there, for dark ones."""
    output = tiny_models.yolov8([BOX])
    constants: dict[str, NDArray[Any]] = {
        "flat": np.array([0, -1], np.int64),
        "dim": np.array([0.2], np.float32),
        "table": np.zeros((1, 1, 1), np.float32),
        "output": output,
        "cube": np.array([-1, 1, 1], np.int64),
    }
    nodes = [
        helper.make_node("Reshape", ["images", "flat"], ["pixels"]),
        helper.make_node("ReduceMax", ["pixels"], ["most"], axes=[1], keepdims=0),
        helper.make_node("Less", ["most", "dim"], ["dark"]),
        helper.make_node("Cast", ["dark"], ["number"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "number"], ["nothing"], axis=0),
        helper.make_node("Reshape", ["nothing", "cube"], ["nought"]),
        helper.make_node("Add", ["output", "nought"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "picky",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 128, 160])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, tiny_models.NAMES)
    onnx.save(model, path)


def test_start_without_a_stream_loads_every_model_and_is_ready(make: Make) -> None:
    app = make(
        http='{listen: "127.0.0.1:0"}',
        models="{tiny: {path: tiny.onnx, size: [160, 128]}, other: {path: other.onnx, size: [160, 128]}}",
        streams="[]",
    )
    app.start()
    assert list(local(app).pool.workers) == ["tiny", "other"]
    assert app.health.readiness().reasons == ()
    node = app.board.node()
    assert (node.state, node.reason, node.text, node.streams) == ("online", "ok", "there is no stream", 0)
    assert not app.ended
    assert app.http is not None
    picture = cv2.imencode(".png", np.zeros((128, 160, 3), np.uint8))[1].tobytes()
    reply = httpx.post(
        f"{app.http.url}/api/detect", content=picture, headers={"Content-Type": "image/png"}, timeout=30
    )
    assert (reply.status_code, reply.json()["model"]["name"]) == (200, "tiny")


def test_start_without_a_stream_refuses_a_bad_model(make: Make) -> None:
    app = make(http='{listen: "127.0.0.1:0"}', models="{bad: {path: bad.onnx}}", streams="[]")
    with pytest.raises(ModelError, match=r"bad\.onnx is not an ONNX model"):
        app.start()


def test_last_stream_that_goes_loads_no_other_model(make: Make) -> None:
    app = make(
        http='{listen: "127.0.0.1:0"}',
        models="{tiny: {path: tiny.onnx, size: [160, 128]}, idle: {path: bad.onnx}}",
        streams="[{id: clip, url: clip.mp4, loop: true}]",
    )
    app.start()
    none = app.config.model_copy(update={"streams": []})
    app.prepare(none)
    app.commit(none)
    assert list(local(app).pool.workers) == ["tiny"]


def test_disabled_streams_are_shown_from_the_start(make: Make) -> None:
    app = make(streams="[{id: clip, url: clip.mp4}, {id: off, url: clip.mp4, enabled: false}]")
    app.start()
    assert {state.stream: state.state for state in app.board.streams()}["off"] == "disabled"
    assert app.board.node().streams == 2
    wait_until(lambda: app.ended)
