"""`/api/detect` over real HTTP: with the models of a real daemon, and with a scripted detector."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import httpx
import numpy as np
import pytest
from tests.models import tiny_models

from framelane.config.sections.detect import DetectConfig
from framelane.config.yaml.load import parse_config
from framelane.core.clock import SystemClock
from framelane.core.errors import RequestError
from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.node.daemon import make_node
from framelane.pipeline.image_detector import ImageDetector
from framelane.telemetry.prometheus import MetricsPage, RequestCollector
from framelane.telemetry.requests import RequestMeter
from framelane.web.app import create_app
from framelane.web.detect import REFUSALS, DetectReply, router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from av import VideoFrame
    from starlette.types import ASGIApp

    from framelane.node.node import Node

    from .conftest import Daemon

    Serve = Callable[[ASGIApp], str]

BOXES = (
    tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9),
    tiny_models.Box((80.0, 32.0, 144.0, 80.0), class_id=2, score=0.6),
)
PICTURE = np.full((256, 320, 3), 90, np.uint8)
JPEG = cv2.imencode(".jpg", PICTURE)[1].tobytes()
AS_JPEG = {"Content-Type": "image/jpeg"}
WAIT_S = 30.0


class ToldDetector:
    """Waits until released, then answers or refuses."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.inside = 0
        self.refusal: RequestError | None = None
        self.early: RequestError | None = None

    def check(self) -> None:
        if self.early is not None:
            raise self.early

    def detect(self, picture: VideoFrame, model: str | None, confidence: float | None) -> Result:
        self.inside += 1
        assert self.go.wait(WAIT_S)
        if self.refusal is not None:
            raise self.refusal
        info = FrameInfo("still/0", 0, 0.0, 0.0, "receive", 0.0, picture.width, picture.height)
        none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))
        return Result(info, ModelInfo("tiny", "0" * 12, "test", ()), none, 0.001, 0.002)


class Page:
    """The application with this detector behind it."""

    def __init__(self, daemon: Daemon, serve: Serve, detector: Any, **config: Any) -> None:
        self.meter = RequestMeter()
        detect = router(detector, DetectConfig(**config), self.meter, daemon.clock)
        metrics = MetricsPage(RequestCollector(self.meter.snapshot))
        self.url = serve(create_app(daemon, metrics, daemon.status, None, detect))

    def post(self, data: bytes = JPEG, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
        wanted = AS_JPEG if headers is None else headers
        return httpx.post(
            f"{self.url}/api/detect", content=data, headers=wanted, params=query, timeout=WAIT_S
        )

    @property
    def statuses(self) -> dict[int, int]:
        return dict(self.meter.snapshot().statuses)


def problem(reply: httpx.Response) -> tuple[int, str]:
    """Status and detail of a refusal, which must look like one."""
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert body.keys() == {"title", "status", "detail"}
    assert body["status"] == reply.status_code
    return reply.status_code, body["detail"]


@pytest.fixture
def detector() -> ToldDetector:
    return ToldDetector()


def test_reply_has_the_shape_that_is_documented(daemon: Daemon, serve: Serve, detector: ToldDetector) -> None:
    page = Page(daemon, serve, detector)
    reply = page.post()
    assert reply.status_code == 200
    body = reply.json()
    assert body.pop("latency_ms").keys() == {"decode", "queue", "infer", "total"}
    assert body == {
        "model": {"name": "tiny", "hash": "0" * 12, "backend": "test"},
        "width": 320,
        "height": 256,
        "detections": [],
    }


def test_docs_show_a_real_reply_and_every_refusal() -> None:
    page = (Path(__file__).parents[2] / "docs" / "detect.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    reply = DetectReply.model_validate_json(example, strict=True)
    assert reply.model_dump(mode="json", exclude_unset=True) == json.loads(example)
    assert set(re.findall(r"^\| (\d{3}) \|", page, re.MULTILINE)) == {str(status) for status in REFUSALS}


@pytest.mark.parametrize(
    ("headers", "data", "query", "status", "detail"),
    [
        ({"Content-Type": "image/gif"}, JPEG, {}, 415, "send one of image/jpeg, image/png, image/webp"),
        ({}, JPEG, {}, 415, "send one of"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", {}, 415, "as the body"),
        ({"Content-Type": "image/png"}, JPEG, {}, 422, "can't be decoded"),
        (AS_JPEG, b"", {}, 422, "can't be decoded"),
        (AS_JPEG, JPEG, {"confidence": "1.5"}, 422, "query.confidence: Input should be less than or equal to 1"),
        (AS_JPEG, JPEG, {"confidence": "nan"}, 422, "query.confidence"),
        (AS_JPEG, JPEG, {"model": ""}, 422, "query.model"),
        (AS_JPEG, bytes(200_000), {}, 413, "more than 0.1 MB: send it smaller, or raise http.detect.max_megabytes"),
    ],
)  # fmt: skip
def test_bad_request_is_refused_with_its_reason(
    daemon: Daemon, serve: Serve, headers: Any, data: bytes, query: Any, status: int, detail: str
) -> None:
    detector = ToldDetector()
    page = Page(daemon, serve, detector, max_megabytes=0.1)
    found = problem(page.post(data, headers, **query))
    assert found[0] == status
    assert detail in found[1]
    assert page.statuses == {status: 1}
    assert detector.inside == 0


def test_content_type_may_have_parameters_and_capitals(
    daemon: Daemon, serve: Serve, detector: ToldDetector
) -> None:
    page = Page(daemon, serve, detector)
    assert page.post(headers={"Content-Type": "Image/JPEG; charset=binary"}).status_code == 200


def test_upload_without_a_length_is_cut_off_when_it_is_too_large(
    daemon: Daemon, serve: Serve, detector: ToldDetector
) -> None:
    page = Page(daemon, serve, detector, max_megabytes=0.1)

    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(10_000)

    reply = httpx.post(f"{page.url}/api/detect", content=chunks(), headers=AS_JPEG, timeout=WAIT_S)
    assert problem(reply)[0] == 413


def test_picture_is_refused_when_it_has_too_many_pixels(
    daemon: Daemon, serve: Serve, detector: ToldDetector
) -> None:
    page = Page(daemon, serve, detector, max_megapixels=0.08)
    assert problem(page.post())[0] == 413
    assert page.post(cv2.imencode(".jpg", PICTURE[:248])[1].tobytes()).status_code == 200


@pytest.mark.parametrize(
    ("reason", "status"),
    [("unknown", 422), ("starting", 503), ("stopping", 503), ("failed", 503), ("late", 504)],
)
def test_refusal_of_the_detector_becomes_a_status(
    daemon: Daemon, serve: Serve, detector: ToldDetector, reason: str, status: int
) -> None:
    page = Page(daemon, serve, detector)
    detector.refusal = RequestError(reason, "so it is")
    assert problem(page.post()) == (status, "so it is")
    assert page.statuses == {status: 1}


@pytest.mark.parametrize("reason", ["starting", "stopping"])
def test_upload_is_not_read_when_no_model_could_look_at_it(
    daemon: Daemon, serve: Serve, detector: ToldDetector, reason: str
) -> None:
    page = Page(daemon, serve, detector)
    detector.early = RequestError(reason, "not now")
    assert problem(page.post(b"no picture")) == (503, "not now")


def test_more_requests_than_allowed_at_once_are_refused(
    daemon: Daemon, serve: Serve, detector: ToldDetector
) -> None:
    page = Page(daemon, serve, detector, in_flight=3)
    detector.go.clear()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(page.post) for _ in range(3)]
        deadline_s = time.monotonic() + WAIT_S
        while detector.inside < 3:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)
        refused = page.post()
        assert problem(refused) == (429, "3 requests are in progress (http.detect.in_flight): try again")
        assert refused.headers["retry-after"] == "1"
        detector.go.set()
        assert [reply.result().status_code for reply in waiting] == [200] * 3
    assert page.post().status_code == 200
    assert page.statuses == {200: 4, 429: 1}


def test_more_requests_than_the_rate_are_refused(
    daemon: Daemon, serve: Serve, detector: ToldDetector
) -> None:
    page = Page(daemon, serve, detector, rate=2)
    assert [page.post().status_code for _ in range(3)] == [200, 200, 429]
    daemon.clock.monotonic_s += 0.5
    assert [page.post().status_code for _ in range(2)] == [200, 429]


def test_slow_upload_is_given_up_and_makes_room(daemon: Daemon, serve: Serve, detector: ToldDetector) -> None:
    page = Page(daemon, serve, detector, in_flight=1, timeout_s=0.3)
    host, port = page.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), WAIT_S) as slow:
        slow.sendall(
            b"POST /api/detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 99\r\n\r\nx"
        )
        slow.settimeout(WAIT_S)
        assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
    assert page.post().status_code == 200


def test_request_of_a_client_that_goes_away_makes_room(
    daemon: Daemon, serve: Serve, detector: ToldDetector
) -> None:
    page = Page(daemon, serve, detector, in_flight=1, timeout_s=WAIT_S)
    host, port = page.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), WAIT_S) as gone:
        gone.sendall(
            b"POST /api/detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 99\r\n\r\nx"
        )
    deadline_s = time.monotonic() + WAIT_S
    while page.post().status_code != 200:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_metrics_count_requests_and_their_time(daemon: Daemon, serve: Serve, detector: ToldDetector) -> None:
    page = Page(daemon, serve, detector)
    for _ in range(3):
        page.post()
    page.post(b"garbage")
    text = httpx.get(f"{page.url}/metrics").text
    assert 'framelane_detect_requests_total{status="200"} 3.0' in text
    assert 'framelane_detect_requests_total{status="422"} 1.0' in text
    assert "framelane_detect_request_seconds_count 3.0" in text
    assert 'framelane_detect_request_seconds_bucket{le="10.0"} 3.0' in text


def test_route_is_absent_when_it_is_turned_off(daemon: Daemon, serve: Serve) -> None:
    assert httpx.post(serve(daemon.app()) + "/api/detect", content=JPEG, headers=AS_JPEG).status_code == 404


def test_token_is_asked_for(daemon: Daemon, serve: Serve, detector: ToldDetector) -> None:
    detect = router(detector, DetectConfig(), RequestMeter(), daemon.clock)
    url = serve(create_app(daemon, MetricsPage(), daemon.status, "secret", detect)) + "/api/detect"
    assert httpx.post(url, content=JPEG, headers=AS_JPEG).status_code == 401
    right = {**AS_JPEG, "Authorization": "Bearer secret"}
    assert httpx.post(url, content=JPEG, headers=right).status_code == 200
    assert detector.inside == 1


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A daemon whose stream is over before it is asked."""
    folder = tmp_path_factory.mktemp("detect")
    for name in ("tiny", "other"):
        tiny_models.save(
            folder / f"{name}.onnx", [np.asarray(tiny_models.yolov8(BOXES))], metadata=tiny_models.NAMES
        )
    (folder / "pictures").mkdir()
    cv2.imwrite(str(folder / "pictures" / "1.png"), PICTURE)
    text = f"""
        jsonl: {{path: {folder}/out.jsonl}}
        http: {{listen: "127.0.0.1:0"}}
        models:
          tiny: {{path: tiny.onnx, size: [160, 128]}}
          other: {{path: other.onnx, size: [160, 128], confidence: 0.7}}
        streams: [{{id: folder, url: pictures, model: [tiny, other]}}]
    """
    made = make_node(parse_config(text, folder, {}), threading.Event())
    made.start()
    yield made
    made.stop(10)
    assert made.http is not None


def ask(app: Node, path: Path | None = None, data: bytes = JPEG, **query: Any) -> Any:
    assert app.http is not None
    url = f"http://127.0.0.1:{app.http.address[1]}/api/detect"
    reply = httpx.post(url, content=data, headers=AS_JPEG, params=query, timeout=WAIT_S)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_daemon_finds_in_a_picture_what_it_finds_in_a_stream(app: Node) -> None:
    body = ask(app)
    assert body["model"]["name"] == "tiny"
    assert (body["width"], body["height"]) == (320, 256)
    first = body["detections"][0]
    assert (first["label"], first["class_id"], first["confidence"]) == (
        "person",
        0,
        pytest.approx(0.9, abs=1e-3),
    )
    assert first["box"] == pytest.approx([32, 32, 128, 192], abs=0.5)
    assert first["box_norm"] == pytest.approx([0.1, 0.125, 0.4, 0.75], abs=2e-3)
    assert len(body["detections"]) == 2
    assert 0 < body["latency_ms"]["infer"] <= body["latency_ms"]["total"]


def test_model_and_confidence_are_those_asked_for(app: Node) -> None:
    assert len(ask(app, model="other")["detections"]) == 1
    assert len(ask(app, model="other", confidence=0.5)["detections"]) == 2
    assert len(ask(app, model="tiny", confidence=0.95)["detections"]) == 0
    assert ask(app, model="other")["model"]["name"] == "other"


def test_nothing_of_a_picture_is_published(app: Node, tmp_path: Path) -> None:
    before = app.pipeline.meters.snapshot()
    for _ in range(5):
        ask(app)
    after = app.pipeline.meters.snapshot()
    assert after.streams.keys() == before.streams.keys() == {"folder"}
    assert after.streams["folder"].published == before.streams["folder"].published
    assert after.models["tiny"].frames == before.models["tiny"].frames + 5


def test_stopped_daemon_answers_503() -> None:
    detector = ImageDetector(dict, SystemClock(), 1.0)
    with pytest.raises(RequestError) as caught:
        detector.check()
    assert caught.value.reason == "starting"
    detector.close()
    with pytest.raises(RequestError) as caught:
        detector.check()
    assert caught.value.reason == "stopping"
