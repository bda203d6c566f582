"""Uploaded images go to worker processes, and what comes back is what one process would find."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import cv2
import httpx
import numpy as np
import pytest
from tests.models import tiny_models
from tests.neighbours.clips import ClipShape, draw_clip
from tests.waiting import wait_until

from framelane.config.yaml.load import parse_config
from framelane.core.errors import RequestError
from framelane.fleet.image_detector import FleetDetector
from framelane.node.daemon import make_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.node.node import Node

BOX = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)
OTHER = tiny_models.Box((80.0, 32.0, 144.0, 80.0), class_id=2, score=0.6)
PIXELS = cv2.resize(np.random.default_rng(5).integers(0, 255, (12, 16, 3), np.uint8), (322, 258))
JPEG = cv2.imencode(".jpg", PIXELS)[1].tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fleet-images")
    for name, box in (("tiny", BOX), ("other", OTHER)):
        outputs = [np.asarray(tiny_models.yolov8([box]))]
        tiny_models.save(made / f"{name}.onnx", outputs, metadata=tiny_models.NAMES)
    draw_clip(made, "h264", ClipShape(160, 128, 20)).rename(made / "clip.mp4")
    return made


@pytest.fixture(scope="module")
def nodes(folder: Path) -> Iterator[list[Node]]:
    """The same daemon in one process and in two; of the two, each worker has one of the models."""
    text = """
jsonl: {path: out.jsonl}
http: {listen: "127.0.0.1:0"}
workers: %d
models: {tiny: {path: tiny.onnx, size: [160, 128]}, other: {path: other.onnx, size: [160, 128]}}
streams:
  - {id: a, url: clip.mp4, loop: true, fps: 2, model: tiny}
  - {id: b, url: clip.mp4, loop: true, fps: 2, model: other}
"""
    made = [make_node(parse_config(text % workers, folder, {}), threading.Event()) for workers in (1, 2)]
    for node in made:
        node.start()
    yield made
    for node in made:
        node.stop(10)


def ask(node: Node, **query: Any) -> httpx.Response:
    assert node.http is not None
    host, port = node.http.address
    url = f"http://{host}:{port}/api/detect"
    return httpx.post(url, content=JPEG, headers={"Content-Type": "image/jpeg"}, params=query, timeout=30)


@pytest.mark.parametrize("query", [{}, {"model": "other"}, {"model": "tiny", "confidence": 0.95}])
def test_several_processes_find_what_one_finds(nodes: list[Node], query: dict[str, Any]) -> None:
    bodies = []
    for node in nodes:
        reply = ask(node, **query)
        assert reply.status_code == 200, reply.text
        bodies.append({key: value for key, value in reply.json().items() if key != "latency_ms"})
    assert bodies[0] == bodies[1]
    assert bodies[0]["model"]["name"] == query.get("model", "tiny")
    assert len(bodies[0]["detections"]) == (0 if "confidence" in query else 1)


def test_unknown_model_is_named(nodes: list[Node]) -> None:
    replies = [ask(node, model="tinny") for node in nodes]
    assert [reply.status_code for reply in replies] == [422, 422]
    assert {reply.json()["detail"] for reply in replies} == {"unknown model `tinny`; did you mean `tiny`?"}


def test_worker_that_dies_refuses_and_comes_back(nodes: list[Node]) -> None:
    pipeline: Any = nodes[1].pipeline
    workers = pipeline.supervisors
    for each in workers:
        each._process.kill()
    wait_until(lambda: not any(each.up for each in workers))
    assert ask(nodes[1]).status_code == 503
    wait_until(lambda: all(each.up for each in workers))
    assert ask(nodes[1]).status_code == 200


def test_nothing_is_asked_before_a_worker_is_up_and_after_the_end() -> None:
    detector = FleetDetector([], list, 1.0)
    with pytest.raises(RequestError, match="no worker process is running yet"):
        detector.check()
    detector.close()
    with pytest.raises(RequestError, match="the daemon stops"):
        detector.check()
