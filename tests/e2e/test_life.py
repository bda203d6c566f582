"""How a daemon begins and ends: signals, Last Will, brokers that are late, refuse or die, files that end."""

from __future__ import annotations

import json
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.contract import Score, assert_contract, unix_s
from tests.e2e.daemon import Daemon
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Login, Subscriber
from tests.sinks.mqtt.fake_broker import FakeBroker, Manner
from tests.waiting import wait_until

from framelane.demo.broker import EmbeddedBroker
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.demo.scene import CLASS_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

WAIT_S = 60.0
BASE = "framelane/gate-01"


@pytest.fixture(scope="module")
def cameras(material: Material) -> Iterator[RtspServer]:
    with RtspServer([CameraSpec("street", material.street), CameraSpec("plain", material.plain)]) as server:
        yield server


@pytest.fixture(params=["mosquitto", "embedded"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mosquitto | EmbeddedBroker]:
    if request.param == "mosquitto":
        with Mosquitto(tmp_path / "broker") as mosquitto:
            yield mosquitto
    else:
        pytest.importorskip(
            "iotcore", reason="the embedded broker is not installed: pip install 'framelane[demo]'"
        )
        with EmbeddedBroker() as embedded:
            yield embedded


def settings(material: Material, url: str, **sections: Any) -> dict[str, Any]:
    """One stream, the tiny model."""
    return {
        "node": {"id": "gate-01", "shutdown_s": 5},
        "log": {"format": "json"},
        "models": {"tiny": {"path": str(material.tiny), "size": [160, 128]}},
        "streams": [{"id": "cam", "url": url, "fps": 5, "backoff": {"first_s": 0.2, "most_s": 1}}],
        **sections,
    }


def sequence(subscriber: Subscriber, *, replayed: bool = False) -> list[int]:
    bodies = [message.json for message in subscriber.on_topic(f"{BASE}/streams/+/detections")]
    return [body["seq"] for body in bodies if body["replayed"] == replayed]


def wait_for_detections(subscriber: Subscriber, count: int) -> None:
    subscriber.wait_for_count(count, WAIT_S, lambda message: message.topic.endswith("/detections"))


def wait_for_status(subscriber: Subscriber, state: str) -> Any:
    return subscriber.wait_for(
        lambda message: message.topic == f"{BASE}/status" and message.json["state"] == state, WAIT_S
    ).json


def test_daemon_delivers_and_leaves_its_will_when_it_is_killed(
    broker: Mosquitto | EmbeddedBroker, cameras: RtspServer, material: Material, tmp_path: Path
) -> None:
    """The core of the product, on every broker that this machine has."""
    models = {"demo": {"path": str(material.demo)}}
    config = settings(material, cameras.url("street"), models=models, mqtt={"url": broker.url})
    score = Score()
    with Subscriber(broker.url, f"{BASE}/#") as subscriber, Daemon(tmp_path, config) as daemon:
        wait_for_detections(subscriber, 12)
        wait_for_status(subscriber, "online")
        daemon.signal(signal.SIGKILL)
        assert daemon.wait() == -signal.SIGKILL
        will = wait_for_status(subscriber, "offline")
        messages = subscriber.messages
    for message in messages:
        assert_contract(message, BASE)
        if message.topic.endswith("/detections"):
            captured_s = unix_s(message.json["captured_at"])
            number = cameras.camera("street").frame_at(captured_s, tolerance_s=0.02)
            assert number is not None
            score.add(message.json["detections"], material.truth.frames[number], CLASS_NAMES)
    assert sequence(subscriber) == list(range(1, len(sequence(subscriber)) + 1))
    assert score.mean_iou >= 0.8
    assert (score.recall >= 0.75, score.precision >= 0.75) == (True, True)
    assert will["run"] == messages[0].json["run"]
    if isinstance(broker, Mosquitto):  # the embedded one delivers a will, and does not retain it
        with Subscriber(broker.url, f"{BASE}/status") as late:
            assert late.wait_for(lambda message: message.retain).json == will


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_daemon_exits_0_when_it_gets_one_signal_before_anything_is_live(
    material: Material, tmp_path: Path, number: signal.Signals
) -> None:
    config = settings(material, str(tmp_path / "none.mp4"), jsonl={"path": "-"})
    with Daemon(tmp_path, config) as daemon:
        daemon.wait_for_event("stream_down")
        daemon.signal(number)
        assert daemon.wait() == 0
        assert "stopped" in daemon.log


def test_daemon_exits_at_once_when_a_second_signal_comes(
    cameras: RtspServer, material: Material, tmp_path: Path
) -> None:
    """A broker that acknowledges nothing holds the drain up, so that there is a time for the second signal."""
    with FakeBroker([Manner(ack=None)]) as broker:
        mqtt = {"url": broker.url, "spool": {"enabled": False}}
        config = settings(material, cameras.url("plain"), mqtt=mqtt)
        config["node"]["shutdown_s"] = 120
        with Daemon(tmp_path, config) as daemon:
            broker.wait_for_publishes(5)
            deadline_s = time.monotonic() + 20
            while daemon.running and time.monotonic() < deadline_s:
                daemon.signal(signal.SIGTERM)
                time.sleep(0.2)
            assert daemon.wait() == 128 + signal.SIGTERM


def test_daemon_ends_with_its_files_and_writes_every_frame_when_exit_when_ended_is_set(
    material: Material, tmp_path: Path
) -> None:
    config = settings(
        material, str(material.plain), jsonl={"path": "-", "kinds": ["detections", "state", "status"]}
    )
    config["node"]["exit_when_ended"] = True
    config["streams"] = [
        {"id": "all", "url": str(material.plain), "realtime": False},
        {"id": "some", "url": str(material.plain), "realtime": False, "fps": 5},
    ]
    with Daemon(tmp_path, config) as daemon:
        assert daemon.wait(WAIT_S) == 0
        lines = [json.loads(line) for line in daemon.output.splitlines()]
    numbers: dict[str, list[int]] = {"all": [], "some": []}
    for line in lines:
        if line["schema"] == "framelane.detections/1":
            numbers[line["stream"]].append(line["seq"])
            assert (line["clock"], line["dropped"]) == ("media", 0)
    assert numbers == {"all": list(range(1, 51)), "some": list(range(1, 11))}
    assert [line["state"] for line in lines if line["schema"] == "framelane.status/1"][-1] == "offline"


def test_daemon_infers_without_a_broker_and_delivers_when_it_comes_and_when_it_comes_back(
    cameras: RtspServer, material: Material, tmp_path: Path
) -> None:
    mosquitto = Mosquitto(tmp_path / "broker", MosquittoOptions(persistence=True))
    config = settings(
        material,
        cameras.url("plain"),
        mqtt={"url": mosquitto.url},
        jsonl={"path": str(tmp_path / "out.jsonl")},
    )
    # With its session, the broker keeps what comes before the subscriber is there again.
    subscribe = partial(Subscriber, mosquitto.url, f"{BASE}/#", client_id="late", session_s=600)
    with mosquitto, subscribe():
        pass
    try:
        with Daemon(tmp_path, config) as daemon:
            event = daemon.wait_for_event("sink_failed", lambda event: event["sink"] == "mqtt")
            assert event["reason"] == "refused"
            wait_for_lines(tmp_path / "out.jsonl", 5)
            mosquitto.start()
            with subscribe() as subscriber:
                wait_until(lambda: len(sequence(subscriber)) >= 5)
                wait_for_status(subscriber, "online")
                live, replayed = sequence(subscriber), sequence(subscriber, replayed=True)
            for numbers in (live, replayed):
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert replayed[0] < live[0]
            mosquitto.kill()
            lines = len((tmp_path / "out.jsonl").read_text().splitlines())
            wait_for_lines(tmp_path / "out.jsonl", lines + 5)
            mosquitto.start()
            with subscribe() as subscriber:
                wait_until(lambda: len(sequence(subscriber)) >= 5)
                wait_for_status(subscriber, "online")
                again, late = sequence(subscriber), sequence(subscriber, replayed=True)
            assert again == list(range(again[0], again[0] + len(again)))
            assert late == list(range(late[0], late[0] + len(late)))
            assert replayed[0] < late[0] < again[0]
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
    finally:
        mosquitto.stop()


def wait_for_lines(path: Path, count: int) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not path.exists() or len(path.read_text(encoding="utf-8").splitlines()) < count:
        assert time.monotonic() < deadline_s, f"fewer than {count} lines in {path}"
        time.sleep(0.05)


def test_daemon_infers_and_keeps_the_secret_when_the_broker_refuses_its_password(
    cameras: RtspServer, material: Material, tmp_path: Path
) -> None:
    options = MosquittoOptions(users=(("framelane", "right-4711"), ("test", "test-4711")))
    with Mosquitto(tmp_path / "broker", options) as mosquitto:
        mqtt = {"url": mosquitto.url, "username": "framelane", "password": "wrong-4712"}
        config = settings(
            material, cameras.url("plain"), mqtt=mqtt, jsonl={"path": str(tmp_path / "out.jsonl")}
        )
        login = Login("test", "test-4711")
        with (
            Subscriber(mosquitto.url, f"{BASE}/#", login=login) as subscriber,
            Daemon(tmp_path, config) as daemon,
        ):
            event = daemon.wait_for_event("sink_failed", lambda event: event["sink"] == "mqtt")
            wait_for_lines(tmp_path / "out.jsonl", 5)
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            assert subscriber.messages == []
            assert "wrong-4712" not in daemon.log
    assert event["reason"] == "unauthorized"
