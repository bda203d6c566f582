"""A daemon of two workers in an outage: one is killed, the daemon is stopped, and the next has one process."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.e2e.contract import assert_contract
from tests.e2e.daemon import Daemon
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Received, Subscriber
from tests.waiting import wait_until

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

BASE = "framelane/gate-01"
STREAMS = ("c0", "c1")


def config(material: Material, server: RtspServer, url: str, folder: Path, **more: Any) -> dict[str, Any]:
    streams = [
        {"id": name, "url": server.url(name), "fps": 10, "backoff": {"first_s": 0.2, "most_s": 1}}
        for name in STREAMS
    ]
    return {
        "node": {"id": "gate-01", "stats_s": 1, "shutdown_s": 4},
        "log": {"format": "json"},
        "mqtt": {"url": url, "spool": {"folder": str(folder), "sync_ms": 200}},
        "models": {"tiny": {"path": str(material.tiny), "size": [160, 128]}},
        "streams": streams,
        **more,
    }


def by_run(messages: Iterable[Received]) -> dict[tuple[str, str], list[Any]]:
    """Detections as they came, by stream and run."""
    found = defaultdict(list)
    for message in messages:
        body = message.json
        found[body["stream"], body["run"]].append(body)
    return found


def numbers(bodies: Iterable[Any], *, replayed: bool) -> list[int]:
    return [body["seq"] for body in bodies if body["replayed"] == replayed]


def test_results_outlive_outage_kill_and_another_division(material: Material, tmp_path: Path) -> None:
    folder = tmp_path / "spools"
    cameras = [CameraSpec(name, material.plain) for name in STREAMS]
    with (
        RtspServer(cameras) as server,
        Mosquitto(tmp_path / "broker", MosquittoOptions(lossless=True)) as broker,
    ):
        settings = config(material, server, broker.url, folder)
        with Subscriber(broker.url, f"{BASE}/streams/+/detections") as subscriber:
            daemon = Daemon(tmp_path / "two", {**settings, "workers": 2})
            daemon.start()
            wait_until(
                lambda: all(
                    len(subscriber.on_topic(f"{BASE}/streams/{stream}/detections")) > 5 for stream in STREAMS
                )
            )
            broker.stop()
            wait_until(lambda: not subscriber.client.is_connected())  # it has read all that was acknowledged
            before = subscriber.messages
        time.sleep(2.0)
        assert daemon._process is not None
        children = psutil.Process(daemon._process.pid).children()
        next(each for each in children if each.cmdline()[-1] == "w1").kill()
        daemon.wait_for_event("worker_down")
        wait_until(lambda: len(daemon.events("worker_up")) == 3)
        time.sleep(2.0)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert {path.name for path in (folder / "gate-01").glob("w*.spool")} == {"w0.spool", "w1.spool"}

        broker.start()
        with Subscriber(broker.url, f"{BASE}/streams/+/detections", f"{BASE}/status") as subscriber:
            with Daemon(tmp_path / "one", settings):
                wait_until(lambda: not list((folder / "gate-01").glob("w*.spool")))
            subscriber.wait_for(lambda message: message.json.get("state") == "offline")
            after = subscriber.on_topic(f"{BASE}/streams/+/detections")
    runs = by_run([*before, *after])
    assert len([run for run in runs if numbers(runs[run], replayed=True)]) == 3  # of w0, and of w1 twice
    for bodies in runs.values():
        live, replayed = numbers(bodies, replayed=False), numbers(bodies, replayed=True)
        assert live == sorted(set(live))
        assert replayed == sorted(set(replayed))
        seen = set(live) | set(replayed)
        assert seen == set(range(1, max(seen) + 1))
    for message in after:
        assert_contract(message, BASE)
