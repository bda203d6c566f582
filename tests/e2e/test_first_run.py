"""A first run: `framelane init --demo-model` against real RTSP servers, then the daemon on the file as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from tests.e2e.contract import assert_contract
from tests.e2e.daemon import ROOT, Daemon, python_path
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.rtsp_servers import PASSWORD, SERVERS, NeighbourMissingError, Show
from tests.neighbours.subscriber import Login, Subscriber

from framelane.config.sections.node import default_node_id

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

WAIT_S = 60.0
BROKER_LOGIN = ("site", "broker/pass-4711")


def framelane(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": python_path(ROOT / "daemon"), **variables}
    command = [sys.executable, "-m", "framelane", *arguments]
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("server", ["demo", "gst"])
def test_a_first_file_gives_detections_without_a_download(
    material: Material, tmp_path: Path, server: str
) -> None:
    secrets = {"LOBBY_PW": PASSWORD, "MQTT_PW": BROKER_LOGIN[1]}
    daemon = Daemon(tmp_path, {}, environment=secrets)
    daemon.config_file.unlink()
    with ExitStack() as held:
        try:
            camera = held.enter_context(SERVERS[server](Show(material.street, "h264", "digest")))
        except NeighbourMissingError as error:
            pytest.skip(str(error))
        broker = held.enter_context(Mosquitto(tmp_path / "broker", MosquittoOptions(users=(BROKER_LOGIN,))))
        subscriber = held.enter_context(Subscriber(broker.url, "framelane/#", login=Login(*BROKER_LOGIN)))
        address = broker.url.replace(
            "mqtt://", f"mqtt://{BROKER_LOGIN[0]}:{quote(BROKER_LOGIN[1], safe='')}@"
        )
        file = str(daemon.config_file)
        options = ["--demo-model", "--url", camera.url, "--id", "lobby", "--broker", address]
        made = framelane("init", file, *options)
        assert (made.returncode, made.stderr) == (0, "")
        checked = framelane("check", file, **secrets)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, f"{file}: ok\n", "")
        held.enter_context(daemon)
        topic = f"framelane/{default_node_id()}/streams/lobby/detections"
        found = subscriber.wait_for_count(40, WAIT_S, lambda message: message.topic == topic)
    for message in found:
        assert_contract(message, f"framelane/{default_node_id()}")
    labels = [{each["label"] for each in message.json["detections"]} for message in found]
    assert set().union(*labels) <= {"person", "car", "bicycle"}
    assert sum("person" in each for each in labels) > len(labels) / 2
    written = daemon.config_file.read_text() + daemon.log
    assert [secret for secret in secrets.values() if secret in written] == []
