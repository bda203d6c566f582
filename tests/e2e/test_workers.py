"""One daemon of two worker processes, as its subscribers, probes and killers see it."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.contract import assert_contract
from tests.e2e.daemon import Daemon, free_port
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Received, Subscriber
from tests.waiting import wait_until

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

BASE = "framelane/gate-01"
PASSWORD = "camera-pass-4711"
WAIT_S = 60.0
STREAMS = ("c0", "c1", "c2", "c3")
OF_W0, OF_W1 = ("c0", "c2"), ("c1", "c3")


@dataclass
class Node:
    """A running daemon with everything around it."""

    daemon: Daemon
    subscriber: Subscriber
    broker: Mosquitto
    http: str

    @property
    def process(self) -> psutil.Process:
        assert self.daemon._process is not None
        return psutil.Process(self.daemon._process.pid)

    def worker(self, name: str) -> psutil.Process:
        return next(each for each in self.process.children() if each.cmdline()[-1] == name)

    def wait_for(self, topic: str, wanted: Any = lambda _body: True) -> Any:
        """The first message below BASE that is wanted, decoded."""

        def fits(message: Received) -> bool:
            return message.topic == f"{BASE}/{topic}" and wanted(message.json)

        return self.subscriber.wait_for(fits, WAIT_S).json

    def detections(self, stream: str, count: int = 1) -> list[Any]:
        topic = f"{BASE}/streams/{stream}/detections"
        self.subscriber.wait_for_count(count, WAIT_S, lambda message: message.topic == topic)
        return [message.json for message in self.subscriber.on_topic(topic)]

    def metric(self, name: str) -> dict[str, float]:
        """A metric's values by its first label."""
        families = text_string_to_metric_families(httpx.get(f"{self.http}/metrics", timeout=30).text)
        return {
            next(iter(sample.labels.values()), ""): sample.value
            for family in families
            for sample in family.samples
            if sample.name == f"framelane_{name}"
        }


def config(material: Material, **sections: Any) -> dict[str, Any]:
    return {
        "node": {"id": "gate-01", "stats_s": 1, "shutdown_s": 6},
        "log": {"format": "json"},
        "workers": 2,
        "models": {"tiny": {"path": str(material.tiny), "size": [160, 128]}},
        **sections,
    }


@pytest.fixture(scope="module")
def node(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("workers")
    port = free_port()
    cameras = [CameraSpec(name, material.plain, "admin", PASSWORD) for name in STREAMS]
    with (
        Mosquitto(folder / "broker") as broker,
        RtspServer(cameras) as server,
        Subscriber(broker.url, f"{BASE}/#") as subscriber,
    ):
        streams = [
            {"id": name, "url": server.url(name), "fps": 5, "backoff": {"first_s": 0.2, "most_s": 1}}
            for name in STREAMS
        ]
        sections = {"mqtt": {"url": broker.url}, "http": {"listen": f"127.0.0.1:{port}"}, "streams": streams}
        jsonl = {"path": str(folder / "out.jsonl"), "kinds": ["detections", "state", "status"]}
        with Daemon(folder, config(material, **sections, jsonl=jsonl)) as daemon:
            running = Node(daemon, subscriber, broker, f"http://127.0.0.1:{port}")
            daemon.wait_for_event("started")
            running.wait_for("status", lambda body: body["state"] == "online")
            yield running


def test_every_stream_delivers_through_its_worker(node: Node) -> None:
    runs = {stream: node.detections(stream, 5)[0]["run"] for stream in STREAMS}
    assert runs["c0"] == runs["c2"] != runs["c1"] == runs["c3"]
    for stream in STREAMS:
        messages = node.detections(stream)
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
    assert "framelane-gate-01-w0" in node.broker.log
    assert "framelane-gate-01-w1" in node.broker.log


def test_outside_there_is_one_node(node: Node) -> None:
    status = node.wait_for("status", lambda body: body["state"] == "online")
    assert (status["streams"], status["streams_live"]) == (4, 4)
    assert {message.json["run"] for message in node.subscriber.on_topic(f"{BASE}/status")} == {status["run"]}
    states = {message.json["run"] for message in node.subscriber.on_topic(f"{BASE}/streams/+/state")}
    assert states == {status["run"]}
    assert node.metric("stream_up") == dict.fromkeys(STREAMS, 1.0)
    wait_until(lambda: min(node.metric("results_published_total").values()) >= 5)
    assert node.metric("worker_up") == {"w0": 1.0, "w1": 1.0}
    assert min(node.metric("worker_resident_memory_bytes").values()) > 1e7
    assert node.metric("mqtt_connected") == {"": 1.0}
    assert len(node.metric("engine_info")) == 1
    for path in ("/healthz", "/readyz"):
        assert httpx.get(node.http + path).json() == {"ok": True, "reasons": []}
    assert len(httpx.get(f"{node.http}/api/status").json()["streams"]) == 4


def test_statistics_cover_all_workers(node: Node) -> None:
    totals = node.wait_for("stats", lambda body: body["fps_published"] > 15)
    assert (totals["streams"], [model["name"] for model in totals["models"]]) == (4, ["tiny"])
    assert totals["rss_bytes"] > node.process.memory_info().rss * 2
    mqtt = next(sink for sink in totals["sinks"] if sink["name"] == "mqtt")
    assert (mqtt["connected"], mqtt["dropped"]) == (True, 0)
    for stream in STREAMS:
        node.wait_for(f"streams/{stream}/stats", lambda body: 4 <= body["fps_published"] <= 6)


def test_worker_comes_back_and_the_others_lose_nothing_when_it_is_killed(node: Node) -> None:
    # Nothing that Python could see passes through argv or the environment.
    for each in node.process.children():
        assert PASSWORD not in " ".join([*each.cmdline(), *each.environ().values()])
    before = {stream: node.detections(stream)[-1]["run"] for stream in STREAMS}
    published = node.metric("results_published_total")
    node.worker("w1").kill()
    for stream in OF_W1:
        down = node.wait_for(f"streams/{stream}/state", lambda body: body["reason"] == "worker")
        assert (down["state"], down["text"]) == ("down", "its worker process w1 was ended by signal SIGKILL")
        node.wait_for(
            f"streams/{stream}/state", lambda body: body["state"] == "live" and body["reconnects"] == 1
        )
        old = before[stream]
        first = node.wait_for(f"streams/{stream}/detections", lambda body, old=old: body["run"] != old)
        assert first["seq"] == 1
    assert node.metric("worker_restarts_total") == {"w0": 0.0, "w1": 1.0}
    assert node.metric("reconnects_total") == {"c0": 0.0, "c1": 1.0, "c2": 0.0, "c3": 1.0}
    after = node.metric("results_published_total")
    assert all(after[stream] >= published[stream] for stream in STREAMS)
    wait_until(lambda: node.metric("results_published_total")["c1"] >= published["c1"] + 5)
    for stream in OF_W0:
        messages = node.detections(stream)
        assert {message["run"] for message in messages} == {before[stream]}
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
    for stream in STREAMS:
        for _, group in groupby(node.detections(stream), lambda message: message["run"]):
            assert next(message["seq"] for message in group) == 1
    assert node.subscriber.on_topic(f"{BASE}/status")[-1].json["state"] != "offline"


def test_workers_ignore_the_signals_of_the_terminal_and_of_systemd(node: Node) -> None:
    pids = {node.worker(name).pid for name in ("w0", "w1")}
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    count = len(node.detections("c0"))
    node.detections("c0", count + 5)
    assert {node.worker(name).pid for name in ("w0", "w1")} == pids


def test_every_message_keeps_the_contract(node: Node) -> None:
    for message in node.subscriber.messages:
        assert_contract(message, BASE)


def test_no_credential_is_told(node: Node) -> None:
    told = b"\n".join(message.payload for message in node.subscriber.messages).decode()
    assert PASSWORD not in told + node.daemon.log + node.daemon.output


def test_daemon_exits_0_with_all_its_processes_when_it_is_told_to_stop(node: Node) -> None:
    workers = node.process.children()
    node.daemon.signal(signal.SIGTERM)
    assert node.daemon.wait() == 0
    assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in workers)
    with Subscriber(node.broker.url, f"{BASE}/#") as late:
        late.wait_for_count(5, WAIT_S, lambda message: message.retain)
        retained = {message.topic.removeprefix(f"{BASE}/"): message.json for message in late.messages}
    assert retained.keys() == {"status", *(f"streams/{stream}/state" for stream in STREAMS)}
    assert (retained["status"]["state"], retained["status"]["reason"]) == ("offline", "stopping")
    last = node.subscriber.messages[-1]
    assert (last.topic, last.json["state"]) == (f"{BASE}/status", "offline")
    lines = [json.loads(line) for line in _jsonl(node).read_text().splitlines()]
    counts = {stream: len(node.detections(stream)) for stream in STREAMS}
    written = [line["stream"] for line in lines if line["schema"] == "framelane.detections/1"]
    # A killed worker takes at most the lines of a tenth of a second with it.
    assert all(abs(written.count(stream) - counts[stream]) <= 2 for stream in STREAMS)
    assert [line["state"] for line in lines if line["schema"] == "framelane.status/1"][-1] == "offline"


def _jsonl(node: Node) -> Path:
    return node.daemon.config_file.with_name("out.jsonl")


def clips(material: Material, count: int = 3, **options: Any) -> list[dict[str, Any]]:
    return [{"id": f"f{number}", "url": str(material.plain), **options} for number in range(count)]


def test_no_process_is_left_when_the_parent_is_killed(material: Material, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.url, f"{BASE}/#") as subscriber:
        sections = {"mqtt": {"url": broker.url}, "streams": clips(material, loop=True)}
        with Daemon(tmp_path, config(material, **sections)) as daemon:
            node = Node(daemon, subscriber, broker, "")
            daemon.wait_for_event("started")
            node.wait_for("streams/f1/detections")
            workers = node.process.children()
            assert len(workers) == 2
            daemon.signal(signal.SIGKILL)
            assert daemon.wait() == -signal.SIGKILL
            assert psutil.wait_procs(workers, timeout=10)[1] == []
            will = node.wait_for("status", lambda body: body["state"] == "offline")
            assert will["reason"] == "lost"


def test_second_signal_ends_all_processes_at_once(material: Material, tmp_path: Path) -> None:
    sections = {"jsonl": {"path": "/dev/null"}, "streams": clips(material, loop=True)}
    with Daemon(tmp_path, config(material, **sections)) as daemon:
        node = Node(daemon, None, None, "")  # type: ignore[arg-type]
        daemon.wait_for_event("started")
        workers = node.process.children()
        workers[0].suspend()  # it can't drain
        for _ in range(2):
            daemon.signal(signal.SIGTERM)
            time.sleep(0.7)
        assert daemon.wait() == 128 + signal.SIGTERM
        assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_hanging_worker_is_killed_when_the_time_to_stop_is_over(material: Material, tmp_path: Path) -> None:
    sections = {"jsonl": {"path": "/dev/null"}, "streams": clips(material, loop=True)}
    with Daemon(tmp_path, config(material, **sections)) as daemon:
        node = Node(daemon, None, None, "")  # type: ignore[arg-type]
        daemon.wait_for_event("started")
        workers = node.process.children()
        workers[0].suspend()
        began_s = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert time.monotonic() - began_s < 8
        assert psutil.wait_procs(workers, timeout=10)[1] == []


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("inference", "frames arrive, but none was inferred for "),
        ("mqtt", "thread mqtt has hung for "),
    ],
)
def test_worker_that_hangs_is_started_again_and_the_others_go_on(
    material: Material, tmp_path: Path, part: str, says: str
) -> None:
    sign = tmp_path / "hang"
    command = ("tests.e2e.wedged", part, str(sign))
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.url, f"{BASE}/#") as subscriber:
        port = free_port()
        sections = {"mqtt": {"url": broker.url}, "http": {"listen": f"127.0.0.1:{port}"}}
        streams = clips(material, 2, loop=True)
        with Daemon(tmp_path, config(material, **sections, streams=streams), command) as daemon:
            node = Node(daemon, subscriber, broker, f"http://127.0.0.1:{port}")
            runs = {stream: node.detections(stream)[0]["run"] for stream in ("f0", "f1")}
            hang = sign.with_name("hang-w0")
            hang.touch()
            down = node.wait_for("streams/f0/state", lambda body: body["reason"] == "worker")
            assert down["text"].startswith(f"its worker process w0 made no progress and was killed: {says}")
            hang.unlink()
            node.wait_for("streams/f0/detections", lambda body: body["run"] != runs["f0"])
            assert {message["run"] for message in node.detections("f1")} == {runs["f1"]}
            wait_until(lambda: httpx.get(f"{node.http}/healthz").status_code == 200)
            assert node.metric("worker_restarts_total")["w0"] >= 1
            assert node.metric("worker_restarts_total")["w1"] == 0


def test_daemon_ends_with_its_files_and_writes_every_frame_of_every_worker(
    material: Material, tmp_path: Path
) -> None:
    sections = {"jsonl": {"path": "-"}, "streams": clips(material, 5, realtime=False)}
    settings = config(material, **sections)
    settings["node"]["exit_when_ended"] = True
    with Daemon(tmp_path, settings) as daemon:
        assert daemon.wait(WAIT_S) == 0
        lines = [json.loads(line) for line in daemon.output.splitlines()]
    for number in range(5):
        numbers = [line["seq"] for line in lines if line["stream"] == f"f{number}"]
        assert numbers == list(range(1, 51))


def test_bad_model_ends_the_daemon_with_its_code_and_one_message(material: Material, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_text("no model")
    models = {"tiny": {"path": str(tmp_path / "bad.onnx")}}
    sections = {"jsonl": {"path": "-"}, "streams": clips(material), "models": models}
    with Daemon(tmp_path, config(material, **sections)) as daemon:
        assert daemon.wait(WAIT_S) == 3
        assert daemon.log.count("is not an ONNX model") == 1
        assert daemon.log.splitlines()[-1].startswith("framelane: ")
        assert "Traceback" not in daemon.log


def test_unknown_label_is_named_with_its_key_in_the_file(material: Material, tmp_path: Path) -> None:
    streams = clips(material)
    streams[1]["classes"] = ["persn"]
    with Daemon(tmp_path, config(material, jsonl={"path": "-"}, streams=streams)) as daemon:
        assert daemon.wait(WAIT_S) == 2
        assert "streams[1].classes[0]" in daemon.log
