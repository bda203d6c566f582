"""Cameras that come, change and go while the daemon runs: over HTTP, by SIGHUP, by command and through a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.daemon import ROOT, Daemon, free_port, python_path
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Received, Subscriber
from tests.waiting import wait_until

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

BASE = "framelane/gate-01"
TOKEN = "bearer-of-tests"
PASSWORD = "camera-pass-4711"
WAIT_S = 60.0
MOST_MS = 2000.0
OTHERS = ("rtsp", "clip")
QUICK = {"first_s": 0.2, "most_s": 1}


@dataclass
class Node:
    """A running daemon with everything around it."""

    daemon: Daemon
    subscriber: Subscriber
    broker: Mosquitto
    cameras: RtspServer
    clip: str
    folder: Path
    http: str

    def call(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> httpx.Response:
        """An answer of the HTTP listener."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.request(method, self.http + path, json=body, headers=headers, timeout=30)

    def applied(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to a change that succeeds in time, by the daemon's own measure."""
        reply = self.call(method, path, body)
        assert reply.status_code in (200, 201), reply.text
        assert reply.json()["took_ms"] < MOST_MS
        return reply.json()

    def stream(self, name: str, **options: Any) -> dict[str, Any]:
        """Options of a stream that plays the clip."""
        return {"id": name, "url": self.clip, "loop": True, "fps": 4, **options}

    def detections(self, stream: str) -> list[Any]:
        """All detections messages of a stream so far."""
        return [message.json for message in self.subscriber.on_topic(f"{BASE}/streams/{stream}/detections")]

    def wait_for_more(self, stream: str, count: int = 3) -> list[Any]:
        """That many further detections messages of a stream."""
        before = len(self.detections(stream))
        topic = f"{BASE}/streams/{stream}/detections"
        self.subscriber.wait_for_count(before + count, WAIT_S, lambda message: message.topic == topic)
        return self.detections(stream)[before:]

    def states(self, stream: str) -> list[Received]:
        """All state messages of a stream so far."""
        return self.subscriber.on_topic(f"{BASE}/streams/{stream}/state")

    def listed(self) -> list[str]:
        """Ids of the streams that /api/streams lists."""
        return [each["id"] for each in self.call("GET", "/api/streams").json()]

    def write(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit the main file."""
        config = yaml.safe_load(self.daemon.config_file.read_text())
        change(config)
        self.daemon.config_file.write_text(yaml.safe_dump(config, sort_keys=False))

    def reload(self) -> subprocess.CompletedProcess[str]:
        """`framelane reload`."""
        command = [sys.executable, "-m", "framelane", "reload", str(self.daemon.config_file)]
        environment = {**os.environ, "PYTHONPATH": python_path(ROOT / "daemon")}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def node(
    request: pytest.FixtureRequest, material: Material, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("live")
    port = free_port()
    specs = [CameraSpec("open", material.plain), CameraSpec("locked", material.plain, "admin", PASSWORD)]
    with (
        Mosquitto(folder / "broker") as broker,
        RtspServer(specs) as cameras,
        Subscriber(broker.url, f"{BASE}/#") as subscriber,
    ):
        config = {
            "node": {"id": "gate-01", "stats_s": 1, "shutdown_s": 6},
            "log": {"format": "json"},
            "workers": request.param,
            "mqtt": {"url": broker.url, "homeassistant": {"enabled": True}},
            "http": {"listen": f"127.0.0.1:{port}", "token": TOKEN},
            # On a busy host the streams that are looked at must not drop frames of their own.
            "models": {
                "tiny": {"path": str(material.tiny), "size": [160, 128], "waiting": 16},
                "second": {"path": str(material.tiny), "size": [160, 128]},
            },
            "streams_dir": "streams.d",
            "streams": [
                {"id": "rtsp", "url": cameras.url("open"), "fps": 2, "backoff": QUICK, "late_ms": 60_000},
                {"id": "clip", "url": str(material.plain), "loop": True, "fps": 2},
            ],
        }
        http = f"http://127.0.0.1:{port}"
        clip = str(material.plain)
        with Daemon(folder, config) as daemon:
            running = Node(daemon, subscriber, broker, cameras, clip, folder / "streams.d", http)
            daemon.wait_for_event("started")
            for stream in OTHERS:
                running.wait_for_more(stream)
            yield running


def processes(node: Node) -> set[int]:
    return {node.daemon.pid, *(child.pid for child in psutil.Process(node.daemon.pid).children())}


def assert_gapless(messages: list[Any]) -> None:
    """Each run's numbers go up by one from 1."""
    for run in {message["run"] for message in messages}:
        numbers = [message["seq"] for message in messages if message["run"] == run]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.fixture(autouse=True)
def others_notice_nothing(node: Node) -> Iterator[None]:
    """Whatever happens in a test: the other streams lose no frame, no number and no connection."""
    states = {stream: len(node.states(stream)) for stream in OTHERS}
    results = {stream: len(node.detections(stream)) for stream in OTHERS}
    running = processes(node)
    yield
    if processes(node) != running:
        return  # the test killed a worker, or the daemon
    for stream in OTHERS:
        node.wait_for_more(stream, 1)
        messages = node.detections(stream)
        assert_gapless(messages)
        assert sum(message["dropped"] for message in messages[results[stream] :]) == 0
        assert len(node.states(stream)) == states[stream]


def test_stream_comes_changes_and_goes_over_http(node: Node) -> None:
    added = node.applied("POST", "/api/streams", node.stream("new"))
    assert (added["added"], added["stream"]["persisted"]) == (["new"], True)
    assert {each["label"] for each in node.wait_for_more("new")[-1]["detections"]} == {"person", "car"}

    changed = node.applied("PATCH", "/api/streams/new", {"classes": ["car"]})
    assert (changed["changed"], changed["stream"]["fps"]) == (["new"], 4)
    topic = f"{BASE}/streams/new/detections"
    cars_alone = [{"label": "car"}]
    node.subscriber.wait_for(
        lambda message: (
            message.topic == topic
            and [{"label": each["label"]} for each in message.json["detections"]] == cars_alone
        ),
        WAIT_S,
    )
    node.wait_for_more("new")
    assert_gapless(node.detections("new"))

    assert node.applied("DELETE", "/api/streams/new")["removed"] == ["new"]
    wait_until(lambda: node.states("new")[-1].payload == b"")
    count = len(node.detections("new"))
    assert node.call("GET", "/api/streams/new").status_code == 404
    node.wait_for_more("clip", 6)
    assert len(node.detections("new")) == count


def test_removed_stream_leaves_no_ghost(node: Node) -> None:
    node.applied("POST", "/api/streams", node.stream("ghost"))
    node.wait_for_more("ghost")
    node.applied("DELETE", "/api/streams/ghost")
    wait_until(lambda: node.states("ghost")[-1].payload == b"")
    with Subscriber(node.broker.url, f"{BASE}/streams/+/state") as late:
        late.wait_for_count(len(OTHERS), WAIT_S)
        assert {message.topic.split("/")[3] for message in late.messages} == set(OTHERS)
    assert "ghost" not in node.call("GET", "/metrics").text
    families = text_string_to_metric_families(node.call("GET", "/metrics").text)
    up = next(family for family in families if family.name == "framelane_stream_up")
    assert {sample.labels["stream"] for sample in up.samples} == set(OTHERS)
    assert [each["id"] for each in node.call("GET", "/api/status").json()["streams"]] == list(OTHERS)


def test_home_assistant_learns_of_streams_that_come_and_go(node: Node) -> None:
    with Subscriber(node.broker.url, "homeassistant/device/#") as home:
        node.applied("POST", "/api/streams?persist=false", node.stream("announced", model="second"))
        device = home.wait_for(lambda message: b"announced" in message.payload, WAIT_S)
        node.applied("DELETE", "/api/streams/announced?persist=false")
        home.wait_for(lambda message: message.topic == device.topic and not message.payload, WAIT_S)
        told = {message.topic for message in home.messages if message.payload}
        assert len(told) == 4  # the node, the two others, and the one that came


def test_sequence_goes_on_when_a_removed_stream_returns(node: Node) -> None:
    node.applied("POST", "/api/streams?persist=false", node.stream("again"))
    node.wait_for_more("again")
    node.applied("DELETE", "/api/streams/again")
    node.applied("POST", "/api/streams?persist=false", node.stream("again"))
    node.wait_for_more("again")
    assert_gapless(node.detections("again"))
    node.applied("DELETE", "/api/streams/again")


def test_stream_may_be_the_first_to_name_a_model(node: Node) -> None:
    node.applied("POST", "/api/streams", node.stream("other", model="second"))
    assert node.wait_for_more("other")[-1]["model"]["name"] == "second"
    metrics = node.call("GET", "/metrics").text
    assert 'model="second"' in next(
        line for line in metrics.splitlines() if "engine_info{" in line and "second" in line
    )
    node.applied("DELETE", "/api/streams/other")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/api/streams", {"id": "x", "url": "rtsp:/h", "fps": -1, "classes": ["tre"]}, 422,
         ["fps: expected a number above 0 and at most 1000, or null; got `-1`",
          "url: expected `://` after the scheme"]),
        ("POST", "/api/streams", {"id": "x", "url": "a.mp4", "classes": ["tre"]}, 422,
         ["classes[0]: unknown label `tre`; tiny knows person, bicycle and car"]),
        ("POST", "/api/streams", {"id": "x", "url": "rtsp://u:${HOME}@h/1"}, 422,
         ["url: `${` begins a variable, which works only in files; write the value itself"]),
        ("PATCH", "/api/streams/clip?persist=false", {"url": "rtsp://***@h/1"}, 422,
         ["url: contains `***`, which replies show in place of a secret; omit this key to keep its value"]),
        ("PATCH", "/api/streams/clip?persist=false", {"id": "y"}, 422,
         ["id: can't be changed; remove the stream and add another"]),
        ("POST", "/api/streams", {"id": "clip", "url": "a.mp4"}, 409, []),
        ("PATCH", "/api/streams/clip", {"fps": 1}, 409, []),
        ("DELETE", "/api/streams/clip", None, 409, []),
        ("PATCH", "/api/streams/none", {"fps": 1}, 404, []),
        ("DELETE", "/api/streams/none", None, 404, []),
    ],
)  # fmt: skip
def test_refused_change_says_why_and_changes_nothing(
    node: Node, method: str, path: str, body: Any, status: int, said: list[str]
) -> None:
    before = node.call("GET", "/api/streams").json()
    reply = node.call(method, path, body)
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    assert sorted(f"{each['path']}: {each['message']}" for each in reply.json()["findings"]) == sorted(said)
    assert node.call("GET", "/api/streams").json() == before


def test_answers_hold_no_credential(node: Node) -> None:
    url = node.cameras.url("locked")
    assert PASSWORD in url
    added = node.applied("POST", "/api/streams", {"id": "locked", "url": url, "fps": 2, "backoff": QUICK})
    assert added["stream"]["url"].startswith("rtsp://***@127.0.0.1:")
    node.wait_for_more("locked")
    told = str(added) + node.call("GET", "/api/streams").text + node.daemon.log
    assert PASSWORD not in told
    assert (node.folder / "locked.yaml").stat().st_mode & 0o077 == 0
    assert node.call("POST", "/api/streams", node.stream("x"), token="guessed").status_code == 401
    node.applied("DELETE", "/api/streams/locked")


def test_sighup_goes_over_to_what_the_file_says(node: Node) -> None:
    node.write(lambda config: config["streams"].append(node.stream("signalled")))
    node.daemon.signal(signal.SIGHUP)
    node.wait_for_more("signalled")
    node.write(lambda config: config["streams"][-1].update(classes=["car"]))
    node.daemon.signal(signal.SIGHUP)
    event = node.daemon.wait_for_event("config_applied", lambda event: event["changed"] == ["signalled"])
    assert (event["cause"], event["took_ms"] < MOST_MS) == ("reload", True)
    node.write(lambda config: config["streams"].pop())
    node.daemon.signal(signal.SIGHUP)
    wait_until(lambda: node.states("signalled")[-1].payload == b"")
    assert node.listed() == list(OTHERS)


def test_reload_command_tells_how_it_went(node: Node) -> None:
    node.write(lambda config: config["streams"].append(node.stream("told")))
    done = node.reload()
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 added, 0 changed, 0 removed" in done.stdout
    assert node.listed() == [*OTHERS, "told"]

    good = node.daemon.config_file.read_text()
    node.daemon.config_file.write_text(good.replace("fps: 2", "fps: fast"))
    bad = node.reload()
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.count("expected a number above 0 and at most 1000, or null; got `fast`") == 2
    assert f"{node.daemon.config_file}:" in bad.stderr

    changed = good.replace("stats_s: 1", "stats_s: 2").replace("gate-01", "gate-02")
    node.daemon.config_file.write_text(changed.replace("id: told", "id: untold"))
    frozen = node.reload()
    assert frozen.returncode == 2
    text = "can't be changed while the daemon runs; restart it, or undo this change"
    assert [line.split(": ", 1)[1] for line in frozen.stderr.splitlines()] == [
        f"node.id: {text}",
        f"node.stats_s: {text}",
    ]
    assert node.listed() == [*OTHERS, "told"]

    node.daemon.config_file.write_text(good)
    node.write(lambda config: config["streams"].pop())
    assert node.call("POST", "/api/reload").json()["removed"] == ["told"]


def test_folder_is_watched_and_a_bad_file_in_it_changes_nothing(node: Node) -> None:
    node.folder.mkdir(exist_ok=True)
    file = node.folder / "hand.yaml"
    file.write_text(yaml.safe_dump([node.stream("hand-1"), node.stream("hand-2")]))
    node.wait_for_more("hand-1")
    node.wait_for_more("hand-2")
    assert node.call("DELETE", "/api/streams/hand-1").status_code == 409
    good = file.read_text()
    file.write_text(good.replace("fps: 4", "fps: none"))
    refused = node.daemon.wait_for_event("config_refused", lambda event: event["cause"] == "streams_dir")
    line = good.splitlines().index("- fps: 4") + 1
    expected = "[0].fps: expected a number above 0 and at most 1000, or null; got `none`"
    assert refused["findings"][0] == f"{file}:{line}: {expected}"
    assert node.listed() == [*OTHERS, "hand-1", "hand-2"]
    file.write_text(yaml.safe_dump(node.stream("hand-2")))
    wait_until(lambda: node.listed() == [*OTHERS, "hand-2"])
    file.unlink()
    wait_until(lambda: node.listed() == list(OTHERS))


def test_volume_of_kubernetes_is_followed_when_it_swaps_its_links(node: Node) -> None:
    """A mapped ConfigMap: `cam.yaml` > `..data/cam.yaml`, and `..data` > a folder a version, swapped by a rename."""
    node.folder.mkdir(exist_ok=True)

    def publish(version: str, *streams: dict[str, Any]) -> None:
        (node.folder / version).mkdir()
        (node.folder / version / "cam.yaml").write_text(yaml.safe_dump(list(streams)))
        (node.folder / "..data_tmp").symlink_to(version)
        (node.folder / "..data_tmp").rename(node.folder / "..data")

    publish("..v1", node.stream("pod-1"))
    (node.folder / "cam.yaml").symlink_to("..data/cam.yaml")
    node.wait_for_more("pod-1")
    publish("..v2", node.stream("pod-2"))
    node.wait_for_more("pod-2")
    assert node.listed() == [*OTHERS, "pod-2"]
    (node.folder / "cam.yaml").unlink()
    wait_until(lambda: node.listed() == list(OTHERS))


def test_change_that_is_not_persisted_lasts_until_the_next_reload(node: Node) -> None:
    node.write(lambda config: config["streams"].append(node.stream("mine")))
    node.applied("POST", "/api/reload")
    node.applied("PATCH", "/api/streams/mine?persist=false", {"skip": "nonref"})
    shown = node.call("GET", "/api/streams/mine").json()
    assert (shown["skip"], shown["persisted"], shown["source"]) == (
        "nonref",
        False,
        str(node.daemon.config_file),
    )
    assert node.applied("POST", "/api/reload")["changed"] == ["mine"]
    shown = node.call("GET", "/api/streams/mine").json()
    assert (shown["skip"], shown["persisted"]) == ("none", True)
    node.write(lambda config: config["streams"].pop())
    assert node.applied("POST", "/api/reload")["removed"] == ["mine"]


def test_worker_that_was_killed_comes_back_with_the_current_streams(node: Node) -> None:
    workers = psutil.Process(node.daemon.pid).children()
    if not workers:
        pytest.skip("one process alone")
    node.applied("POST", "/api/streams?persist=false", node.stream("late-1"))
    node.applied("POST", "/api/streams?persist=false", node.stream("late-2"))
    node.wait_for_more("late-1")
    node.wait_for_more("late-2")
    streams = ("late-1", "late-2", *OTHERS)
    old = {message["run"] for stream in streams for message in node.detections(stream)}
    for worker in workers:
        worker.kill()
    for stream in streams:
        node.subscriber.wait_for(
            lambda message, topic=f"{BASE}/streams/{stream}/detections": (  # type: ignore[misc]
                message.topic == topic and message.json["run"] not in old
            ),
            WAIT_S,
        )
    node.applied("DELETE", "/api/streams/late-1")
    node.applied("DELETE", "/api/streams/late-2")


def test_persisted_stream_survives_a_restart(node: Node) -> None:
    """The last test: it ends the daemon that all others look at."""
    node.applied("POST", "/api/streams", node.stream("kept"))
    node.applied("POST", "/api/streams?persist=false", node.stream("unkept"))
    node.daemon.signal(signal.SIGTERM)
    assert node.daemon.wait() == 0
    assert "Traceback" not in node.daemon.log
    node.subscriber.clear()
    node.daemon.start()
    node.daemon.wait_for_event("started")
    node.wait_for_more("kept")
    assert node.listed() == [*OTHERS, "kept"]
