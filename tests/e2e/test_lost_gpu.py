"""What becomes of the daemon when its GPU can't be used any more."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.e2e.daemon import python_path
from tests.neighbours.subscriber import Subscriber

from framelane.config.yaml.load import parse_config
from framelane.demo.broker import EmbeddedBroker
from framelane.fleet.supervisor import SupervisorTimeouts
from framelane.node.daemon import make_node

if TYPE_CHECKING:
    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
BASE = "framelane/gate-01"


def test_daemon_says_goodbye_and_ends_with_70_when_the_gpu_is_lost(
    material: Material, tmp_path: Path
) -> None:
    """Results before the fault get out, in order, and `offline` says why; a slot that hangs holds nothing up."""
    pytest.importorskip("iotcore", reason="the embedded broker: pip install 'framelane[demo]'")
    with EmbeddedBroker() as broker, Subscriber(broker.url, f"{BASE}/#") as subscriber:
        config = {
            "node": {"id": "gate-01", "shutdown_s": 60},
            "log": {"format": "json"},
            "mqtt": {"url": broker.url},
            "models": {"tiny": {"path": str(material.tiny), "size": [160, 128], "slots": 2}},
            "streams": [{"id": "cam", "url": str(material.plain), "loop": True}],
        }
        file = tmp_path / "framelane.yaml"
        file.write_text(yaml.safe_dump(config))
        environment = {**os.environ, "PYTHONPATH": python_path(ROOT / "daemon", ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.lost_gpu", str(file)],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        ended_s = time.monotonic()
        offline = subscriber.wait_for(
            lambda message: message.topic == f"{BASE}/status" and message.json["state"] == "offline"
        ).json
        found = subscriber.on_topic(f"{BASE}/streams/cam/detections")
    assert done.returncode == 70, done.stderr
    assert "framelane: the GPU is lost to this process" in done.stderr
    assert (offline["reason"], offline["text"][:28]) == ("stopping", "the GPU is lost to this proc")
    assert [message.json["seq"] for message in found] == list(range(1, len(found) + 1))
    assert len(found) in (7, 8)  # two slots may call the runner in another order than they took their batches
    assert time.monotonic() - ended_s < 10


def test_daemon_of_workers_ends_with_70_when_one_loses_its_gpu_again_and_again(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that says nothing keeps the worker from ending at once; meanwhile it has threads that are gone."""
    monkeypatch.setenv("PYTHONPATH", python_path(ROOT / "daemon", ROOT))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = f"""
node: {{id: gate-01, shutdown_s: 6}}
jsonl: {{path: {tmp_path / "out.jsonl"}}}
workers: 2
models: {{tiny: {{path: {material.tiny}, size: [160, 128], slots: 2}}}}
streams:
  - {{id: a, url: {material.plain}, loop: true}}
  - {{id: b, url: {material.plain}, loop: true, fps: 0.1}}
  - {{id: silent, url: "rtsp://127.0.0.1:{silent.getsockname()[1]}/x"}}
"""
        config = parse_config(text, tmp_path, {})
        command = (sys.executable, "-m", "tests.e2e.lost_gpu")
        fleet = make_node(
            config, threading.Event(), timeouts=SupervisorTimeouts(most_s=1.0, deaths=2), command=command
        )
        try:
            fleet.start()
            deadline_s = time.monotonic() + 60
            while fleet.fatal is None and time.monotonic() < deadline_s:
                time.sleep(0.05)
        finally:
            fleet.stop(6.0)
    assert fleet.fatal is not None
    assert (fleet.fatal.exit_code, str(fleet.fatal)[:26]) == (70, "the GPU is lost to this pr")
