"""One node on many cameras, good and bad, as its subscribers and probes see it: each test looks at the same daemon."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.contract import Score, assert_contract, unix_s
from tests.e2e.daemon import Daemon, free_port
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Received, Subscriber

from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.demo.scene import CLASS_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

BASE = "framelane/gate-01"
PASSWORD = "camera-pass-4711"
TOKEN = "bearer-of-tests"
WAIT_S = 60.0
QUICK = {"backoff": {"first_s": 0.2, "most_s": 1.0}, "read_timeout_s": 5.0, "open_timeout_s": 5.0}
GOOD = ("street", "people", "both", "steady", "pausing", "changing", "secret", "slow", "clip")
BAD = {
    "gone": "refused",
    "locked": "unauthorized",
    "nowhere": "not-found",
    "garbage": "lost",
    "lost-file": "missing",
}


@dataclass
class Node:
    """A running daemon with everything around it."""

    daemon: Daemon
    cameras: RtspServer
    subscriber: Subscriber
    broker: Mosquitto
    http: str

    def wait_for(self, topic: str, wanted: Any = lambda _body: True, timeout_s: float = WAIT_S) -> Any:
        """The first message below BASE that is wanted, decoded."""

        def fits(message: Received) -> bool:
            return message.topic == f"{BASE}/{topic}" and wanted(message.json)

        return self.subscriber.wait_for(fits, timeout_s).json

    def detections(self, stream: str, count: int = 1) -> list[Any]:
        """The detections messages of a stream, at least this many."""
        topic = f"{BASE}/streams/{stream}/detections"
        self.subscriber.wait_for_count(count, WAIT_S, lambda message: message.topic == topic)
        return [message.json for message in self.subscriber.on_topic(topic)]

    def get(self, path: str, *, token: str | None = TOKEN) -> httpx.Response:
        """A reply of the HTTP listener."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.get(self.http + path, headers=headers, timeout=30)


def unix(message: Any) -> float:
    return unix_s(message["captured_at"])


def since(state: Any) -> float:
    return unix_s(state["since"])


def config(material: Material, broker: str, cameras: RtspServer, port: int) -> dict[str, Any]:
    tiny = {"model": "tiny", "fps": 5}
    locked = cameras.url("locked").replace(PASSWORD, "wrong-4712")
    return {
        "node": {"id": "gate-01", "stats_s": 1, "shutdown_s": 5},
        "log": {"format": "json"},
        "mqtt": {"url": broker},
        "jsonl": {"path": "/dev/full"},
        "http": {"listen": f"127.0.0.1:{port}", "token": TOKEN},
        "models": {
            "demo": {"path": str(material.demo), "confidence": 0.4},
            "tiny": {"path": str(material.tiny), "size": [160, 128], "confidence": 0.4},
        },
        "defaults": QUICK,
        "streams": [
            {"id": "street", "url": cameras.url("street"), "model": "demo", "fps": 8},
            {"id": "people", **tiny, "url": cameras.url("plain"), "classes": ["person"], "confidence": 0.45},
            {"id": "both", "url": cameras.url("plain"), "model": ["tiny", "demo"], "fps": 2,
             "confidence": {"person": 0.7}},
            {"id": "steady", **tiny, "url": cameras.url("plain")},
            {"id": "pausing", **tiny, "url": cameras.url("pausing")},
            {"id": "changing", **tiny, "url": cameras.url("changing")},
            {"id": "secret", **tiny, "url": cameras.url("secret"), "transport": "udp"},
            {"id": "slow", **tiny, "url": cameras.url("plain"), "low_latency": False, "clock": "receive"},
            {"id": "clip", **tiny, "url": str(material.plain), "loop": True},
            {"id": "once", **tiny, "url": str(material.plain)},
            {"id": "gone", **tiny, "url": f"rtsp://user:{PASSWORD}@127.0.0.1:{free_port()}/x"},
            {"id": "locked", **tiny, "url": locked},
            {"id": "nowhere", **tiny, "url": cameras.url("nowhere")},
            {"id": "garbage", **tiny, "url": cameras.url("garbage")},
            {"id": "lost-file", **tiny, "url": str(material.folder / "none.mp4")},
            {"id": "off", **tiny, "url": cameras.url("plain"), "enabled": False},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def node(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    specs = [CameraSpec("street", material.street)]
    specs += [CameraSpec(name, material.plain) for name in ("plain", "pausing", "changing", "garbage")]
    specs += [CameraSpec(name, material.plain, "admin", PASSWORD) for name in ("secret", "locked")]
    port = free_port()
    with (
        Mosquitto(folder / "broker") as broker,
        RtspServer(specs) as cameras,
        Subscriber(broker.url, f"{BASE}/#") as subscriber,
    ):
        cameras.camera("garbage").garbage(1.0, "stream")
        settings = config(material, broker.url, cameras, port)
        with Daemon(folder, settings) as daemon:
            running = Node(daemon, cameras, subscriber, broker, f"http://127.0.0.1:{port}")
            daemon.wait_for_event("started")
            for stream in GOOD:
                running.wait_for(f"streams/{stream}/state", lambda body: body["state"] == "live")
            yield running


def test_detections_are_what_the_camera_showed(node: Node, material: Material) -> None:
    camera = node.cameras.camera("street")
    score = Score()
    for message in node.detections("street", 30)[:60]:
        number = camera.frame_at(unix(message), tolerance_s=0.02)
        assert number is not None, "captured_at is the time at which no frame was captured"
        score.add(message["detections"], material.truth.frames[number], CLASS_NAMES)
        assert (message["width"], message["height"], message["clock"]) == (640, 480, "rtcp")
    assert score.mean_iou >= 0.8
    assert score.recall >= 0.8
    assert score.precision >= 0.8


@pytest.mark.parametrize(("stream", "clock"), [("street", "rtcp"), ("slow", "receive"), ("clip", "media")])
def test_detections_say_which_clock_told_their_time(node: Node, stream: str, clock: str) -> None:
    newest = node.detections(stream, 5)[-1]
    assert newest["clock"] == clock
    assert abs(time.time() - unix(newest)) < 30
    assert 0 <= newest["latency_ms"]["infer"] <= newest["latency_ms"]["total"]


def test_detections_are_numbered_without_a_gap(node: Node) -> None:
    for stream in GOOD:
        messages = node.detections(stream, 5)
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
        assert len({message["run"] for message in messages}) == 1
        assert not any(message["replayed"] for message in messages)


def test_detections_come_in_order_of_time(node: Node) -> None:
    for stream in GOOD:
        by_model = defaultdict(list)
        for message in node.detections(stream, 5):
            by_model[message["model"]["name"]].append(message["pts"])
        assert all(times == sorted(set(times)) for times in by_model.values())


def test_detections_hold_only_what_the_stream_wants_when_it_names_classes_and_thresholds(node: Node) -> None:
    """The tiny model sees the same three objects on every picture: 320 x 256 is twice its input."""
    everything = [("person", 0.9, [32.0, 32.0, 128.0, 192.0]), ("car", 0.6, [160.0, 64.0, 288.0, 160.0]),
                  ("person", 0.5, [192.0, 176.0, 224.0, 240.0])]  # fmt: skip
    wanted = {
        "steady": everything,
        "people": [everything[0], everything[2]],
        "both": [everything[0], everything[1]],
    }
    for stream, expected in wanted.items():
        tiny = next(each for each in node.detections(stream, 4) if each["model"]["name"] == "tiny")
        found = [(each["label"], each["confidence"], each["box"]) for each in tiny["detections"]]
        assert found == expected


def test_detections_of_two_models_share_a_stream(node: Node, material: Material) -> None:
    messages = node.detections("both", 8)
    hashes = {(message["model"]["name"], message["model"]["backend"]) for message in messages}
    assert hashes == {("tiny", "onnxruntime"), ("demo", "onnxruntime")}


def test_states_say_why_a_stream_is_not_live(node: Node) -> None:
    for stream, reason in BAD.items():
        body = node.wait_for(f"streams/{stream}/state", lambda body: body["state"] == "down")
        assert (stream, body["reason"]) == (stream, reason)
    ended = node.wait_for("streams/once/state", lambda body: body["state"] == "down")
    assert (ended["reason"], ended["text"]) == ("finished", "played to its end")


def test_disabled_stream_says_that_it_is_and_nothing_else(node: Node) -> None:
    told = node.subscriber.on_topic(f"{BASE}/streams/off/#")
    assert [(message.topic, message.json["state"], message.json["reason"]) for message in told] == [
        (f"{BASE}/streams/off/state", "disabled", "disabled")
    ]


def test_status_is_degraded_when_cameras_are_away(node: Node) -> None:
    body = node.wait_for("status", lambda body: body["state"] == "degraded" and body["streams_live"] >= 9)
    assert (body["reason"], body["streams"], body["streams_disabled"]) == ("streams", 16, 1)
    assert body["text"].startswith("not live: ")


def test_states_and_status_are_retained_for_those_who_come_later(node: Node) -> None:
    with Subscriber(node.broker.url, f"{BASE}/#") as late:
        names = [*GOOD, *BAD, "once", "off"]
        expected = {f"{BASE}/status", *(f"{BASE}/streams/{name}/state" for name in names)}
        late.wait_for_count(len(expected), WAIT_S, lambda message: message.retain)
        retained = {message.topic for message in late.messages if message.retain}
    assert retained == expected


def test_stats_add_up(node: Node) -> None:
    stats = node.wait_for(
        "streams/steady/stats", lambda body: body["fps_published"] > 0 and body["dropped"]["fps"]
    )
    assert stats["fps_in"] > stats["fps_inferred"] > 0
    assert 0 < stats["latency_ms"]["p50"] <= stats["latency_ms"]["p95"] <= stats["latency_ms"]["p99"]
    totals = node.wait_for("stats", lambda body: body["fps_published"] > 0)
    assert (totals["streams"], {model["name"] for model in totals["models"]}) == (15, {"demo", "tiny"})
    assert totals["rss_bytes"] > 1e7


def test_jsonl_sink_counts_what_a_full_disk_refuses_and_disturbs_nothing(node: Node) -> None:
    event = node.daemon.wait_for_event("sink_failed", lambda event: event["sink"] == "jsonl")
    assert "No space left on device" in event["error"]
    totals = node.wait_for(
        "stats", lambda body: any(sink["name"] == "jsonl" and not sink["connected"] for sink in body["sinks"])
    )
    mqtt = next(sink for sink in totals["sinks"] if sink["name"] == "mqtt")
    assert (mqtt["connected"], mqtt["dropped"]) == (True, 0)


def test_probes_answer_without_a_token(node: Node) -> None:
    for path in ("/healthz", "/readyz"):
        reply = node.get(path, token=None)
        assert (reply.status_code, reply.json()) == (200, {"ok": True, "reasons": []})


def test_metrics_and_status_show_every_stream_to_who_has_the_token(node: Node) -> None:
    assert node.get("/metrics", token="guessed").status_code == 401
    families = {family.name: family for family in text_string_to_metric_families(node.get("/metrics").text)}
    up = {sample.labels["stream"]: sample.value for sample in families["framelane_stream_up"].samples}
    assert up == {**dict.fromkeys(GOOD, 1.0), **dict.fromkeys([*BAD, "once", "off"], 0.0)}
    published = families["framelane_results_published"].samples
    assert {sample.labels["stream"] for sample in published if sample.value} >= set(GOOD)
    assert families["framelane_mqtt_connected"].samples[0].value == 1
    assert len(node.get("/api/status").json()["streams"]) == 16


def test_camera_is_stalled_and_live_again_and_the_others_keep_their_rate_when_it_pauses(node: Node) -> None:
    camera = node.cameras.camera("pausing")
    camera.pause()
    paused_s = time.time()
    stalled = node.wait_for("streams/pausing/state", lambda body: body["state"] == "stalled")
    assert since(stalled) - paused_s <= 2 / 25 + 5
    node.wait_for(
        "streams/pausing/state", lambda body: body["state"] == "down" and since(body) > since(stalled)
    )
    camera.resume()
    resumed_s = time.time()
    live = node.wait_for(
        "streams/pausing/state", lambda body: body["state"] == "live" and since(body) > resumed_s - 1
    )
    assert since(live) - resumed_s <= QUICK["backoff"]["most_s"] + 5  # type: ignore[index]
    assert live["reconnects"] == 1
    for stream in ("street", "steady", "people", "secret"):
        during = [message for message in node.detections(stream) if paused_s < unix(message) < resumed_s]
        gaps = [unix(b) - unix(a) for a, b in pairwise(during)]
        # 5 frames a second and more: nobody waited for the camera that said nothing for 5 s.
        assert len(during) >= 5
        assert max(gaps) < 3


def test_camera_comes_back_with_its_new_size_when_it_restarts(node: Node, material: Material) -> None:
    camera = node.cameras.camera("changing")
    camera.kill()
    node.wait_for("streams/changing/state", lambda body: body["state"] == "down")
    camera.revive(material.wide)
    live = node.wait_for(
        "streams/changing/state", lambda body: body["state"] == "live" and body["reconnects"] == 1
    )
    assert (live["video"]["width"], live["video"]["height"]) == (480, 384)
    message = node.wait_for("streams/changing/detections", lambda body: body["width"] == 480)
    assert message["detections"][0]["box"] == [48.0, 48.0, 192.0, 288.0]
    assert message["detections"][0]["box_norm"] == [0.1, 0.125, 0.4, 0.75]


def test_every_message_keeps_the_contract(node: Node) -> None:
    messages = node.subscriber.messages
    assert len(messages) > 500
    for message in messages[:: max(1, len(messages) // 400)]:
        assert_contract(message, BASE)
    for message in messages:
        if not message.topic.endswith(("/stats", "/detections")):
            assert_contract(message, BASE)


def test_no_credential_is_told(node: Node) -> None:
    told = b"\n".join(message.payload for message in node.subscriber.messages).decode()
    told += node.daemon.log + node.daemon.output + node.get("/metrics").text + node.get("/api/status").text
    assert [secret for secret in (PASSWORD, "wrong-4712", TOKEN) if secret in told] == []


def test_log_has_no_traceback(node: Node) -> None:
    assert [
        line for line in node.daemon.log.splitlines() if "Traceback" in line or not line.startswith("{")
    ] == []


def test_daemon_says_offline_and_exits_0_when_it_is_told_to_stop(node: Node) -> None:
    """The last test: it ends the daemon that all others look at."""
    node.daemon.signal(signal.SIGTERM)
    body = node.wait_for("status", lambda body: body["state"] == "offline")
    assert (body["reason"], body["text"]) == ("stopping", "the daemon stops")
    assert node.daemon.wait() == 0
    with Subscriber(node.broker.url, f"{BASE}/status") as late:
        assert late.wait_for(lambda message: message.retain).json["state"] == "offline"
    for stream in GOOD:
        messages = node.detections(stream)
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
