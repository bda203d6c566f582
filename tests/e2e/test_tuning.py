"""Streams that are tuned, switched off, or yet to come, in a daemon of one process or two, over real RTSP."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.e2e.daemon import Daemon, free_port
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Subscriber
from tests.waiting import wait_until

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

BASE = "framelane/gate-01"
WAIT_S = 60.0
WORKERS = pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])


def settings(material: Material, port: int, broker: str | None, workers: int) -> dict[str, Any]:
    return {
        "node": {"id": "gate-01", "stats_s": 1, "shutdown_s": 6},
        "log": {"format": "json"},
        "workers": workers,
        **({} if broker is None else {"mqtt": {"url": broker}}),
        "http": {"listen": f"127.0.0.1:{port}"},
        "models": {"tiny": {"path": str(material.tiny), "size": [160, 128]}},
        "streams": [],
    }


def call(port: int, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.request(method, f"http://127.0.0.1:{port}{path}", json=body, headers=headers, timeout=30)


def states_of(port: int) -> dict[str, str]:
    streams = call(port, "GET", "/api/status").json()["streams"]
    return {each["id"]: each["state"] for each in streams}


@WORKERS
def test_camera_stays_open_while_what_is_wanted_of_it_changes(
    material: Material, tmp_path: Path, workers: int
) -> None:
    """Over HTTP and by a reload: no number is missing, no gap is longer than the camera's own pace, one connection."""
    port = free_port()
    with (
        Mosquitto(tmp_path / "broker") as broker,
        RtspServer([CameraSpec("open", material.plain)]) as cameras,
        Subscriber(broker.url, f"{BASE}/#") as subscriber,
    ):
        config = settings(material, port, broker.url, workers)
        config["streams"] = [{"id": "gate", "url": cameras.url("open"), "fps": 5}]
        with Daemon(tmp_path, config) as daemon:
            topic = f"{BASE}/streams/gate/detections"

            def results() -> list[Any]:
                return [message.json for message in subscriber.on_topic(topic)]

            def wait_for(wanted: set[str]) -> None:
                """Results with these labels alone."""

                def found() -> bool:
                    return {
                        each["label"] for result in results()[-2:] for each in result["detections"]
                    } == wanted

                wait_until(found)

            daemon.wait_for_event("stream_live")
            wait_for({"person", "car"})
            reply = call(port, "PATCH", "/api/streams/gate", {"classes": ["car"], "fps": 10})
            assert (reply.json()["changed"], reply.json()["reopened"]) == (["gate"], []), reply.text
            wait_for({"car"})
            config["streams"][0] |= {"classes": ["person"], "confidence": 0.8}
            daemon.config_file.write_text(yaml.safe_dump(config, sort_keys=False))
            assert call(port, "POST", "/api/reload").json()["reopened"] == []
            wait_for({"person"})
            came = results()
        assert len(daemon.events("stream_live")) == 1
    assert [result["seq"] for result in came] == list(range(1, len(came) + 1))
    gaps_s = [later["pts"] - earlier["pts"] for earlier, later in pairwise(came)]
    assert max(gaps_s) < 1.0
    states = [message.json["state"] for message in subscriber.on_topic(f"{BASE}/streams/gate/state")]
    assert states.count("connecting") <= 2
    assert "down" not in states


@WORKERS
def test_stream_that_is_switched_off_is_still_told_of(
    material: Material, tmp_path: Path, workers: int
) -> None:
    port = free_port()
    with (
        Mosquitto(tmp_path / "broker") as broker,
        RtspServer([CameraSpec("open", material.plain)]) as cameras,
    ):
        config = settings(material, port, broker.url, workers)
        config["streams"] = [
            {"id": "gate", "url": cameras.url("open"), "fps": 5},
            {"id": "attic", "url": cameras.url("open"), "enabled": False},
        ]
        with Daemon(tmp_path, config) as daemon:
            daemon.wait_for_event("stream_live")
            assert call(port, "PATCH", "/api/streams/gate", {"enabled": False}).status_code == 200
            off = {"attic": "disabled", "gate": "disabled"}
            wait_until(lambda: states_of(port) == off)
            assert call(port, "GET", "/readyz").status_code == 200
            metrics = call(port, "GET", "/metrics").text
            for stream in ("attic", "gate"):
                line = f'framelane_stream_state{{reason="disabled",state="disabled",stream="{stream}"}} 1.0'
                assert line in metrics
            with Subscriber(broker.url, f"{BASE}/#") as late:
                late.wait_for_count(3, WAIT_S, lambda message: message.retain)
                # A new text of the node comes within half a second.
                late.wait_for(
                    lambda message: (
                        message.topic == f"{BASE}/status"
                        and (message.json["streams"], message.json["streams_disabled"]) == (2, 2)
                    ),
                    WAIT_S,
                )
                told = {message.topic.removeprefix(f"{BASE}/"): message.json for message in late.messages}
            assert [told[f"streams/{name}/state"]["state"] for name in ("attic", "gate")] == ["disabled"] * 2
            assert call(port, "PATCH", "/api/streams/gate", {"enabled": True}).status_code == 200
            wait_until(lambda: states_of(port)["gate"] == "live")


@WORKERS
def test_daemon_without_a_stream_is_ready_for_the_first(
    material: Material, tmp_path: Path, workers: int
) -> None:
    port = free_port()
    config = settings(material, port, None, workers)
    config["jsonl"] = {"path": str(tmp_path / "results.jsonl")}
    with RtspServer([CameraSpec("open", material.plain)]) as cameras, Daemon(tmp_path, config) as daemon:
        daemon.wait_for_event("started")
        assert daemon.events("listening")[0]["url"] == f"http://127.0.0.1:{port}"
        wait_until(lambda: call(port, "GET", "/readyz").status_code == 200)
        assert "framelane_engine_info{" in call(port, "GET", "/metrics").text
        reply = call(port, "POST", "/api/streams", {"id": "a", "url": "/etc/passwd"})
        assert reply.json()["findings"][0]["path"] == "url"
        assert call(port, "GET", "/api/status", Host="evil.example").status_code == 421
        assert call(port, "POST", "/api/streams", {"id": "a", "url": cameras.url("open")}).status_code == 201
        live = daemon.wait_for_event("stream_live")
        assert (live["stream"], live["codec"], live["size"], live["decoder"]) == (
            "a",
            "h264",
            "320x256",
            "cpu",
        )
        assert live["took_s"] >= 0
        assert call(port, "DELETE", "/api/streams/a").status_code == 200
        assert call(port, "GET", "/readyz").status_code == 200
