"""The daemon as systemd sees it: readiness, status, a watchdog that only progress feeds, and the end."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.daemon import Daemon, free_port
from tests.e2e.systemd import NotifySocket
from tests.neighbours.mosquitto import Mosquitto

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(tmp_path) as sock:
        yield sock


def settings(material: Material, url: str, broker: str) -> dict[str, Any]:
    return {
        "node": {"id": "gate-01", "stats_s": 1, "shutdown_s": 5},
        "log": {"format": "json"},
        "mqtt": {"url": broker},
        "models": {"tiny": {"path": str(material.tiny), "size": [160, 128]}},
        "streams": [{"id": "cam", "url": url, "fps": 5, "loop": "://" not in url}],
    }


def is_feed(message: str) -> bool:
    return message == "WATCHDOG=1"


def test_systemd_hears_ready_then_how_the_node_fares_and_that_it_stops(
    material: Material, tmp_path: Path, systemd: NotifySocket
) -> None:
    config = settings(material, str(material.plain), f"mqtt://127.0.0.1:{free_port()}")
    with Daemon(tmp_path, config, environment=systemd.environment) as daemon:
        systemd.wait_for(lambda message: message == "READY=1")
        assert systemd.heard == ["READY=1"]
        # The broker that is not there is told of, and is no fault.
        wanted = re.compile(r"STATUS=1 of 1 streams live, \d+\.\d FPS inferred, the broker is away")
        systemd.wait_for(lambda message: wanted.fullmatch(message) is not None)
        systemd.wait_for(is_feed)
        systemd.wait_for(is_feed)
        daemon.signal(signal.SIGTERM)
        systemd.wait_for(lambda message: message == "STOPPING=1")
        assert daemon.wait() == 0
    assert "wedged" not in str(systemd.heard)


def test_watchdog_is_fed_when_no_camera_is_live(
    material: Material, tmp_path: Path, systemd: NotifySocket
) -> None:
    """First it is live, so that frames have been on their way; then its server is gone."""
    command = ("tests.e2e.wedged", "inference", str(tmp_path / "never"))
    with RtspServer([CameraSpec("plain", material.plain)]) as server:
        config = settings(material, server.url("plain"), f"mqtt://127.0.0.1:{free_port()}")
        with Daemon(tmp_path, config, command, systemd.environment):
            systemd.wait_for(lambda message: message.startswith("STATUS=1 of 1 streams live"))
            server.stop()
            systemd.wait_for(lambda message: message.startswith("STATUS=0 of 1 streams live"))
            heard = systemd.listen(4.5)  # twice what counts as wedged here
    assert (len(list(filter(is_feed, heard))) >= 3, "wedged" in str(heard)) == (True, False), heard


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("inference", "frames arrive, but none was inferred for "),
        ("mqtt", "thread mqtt has hung for "),
    ],
)
def test_watchdog_starves_when_a_part_hangs(
    material: Material, tmp_path: Path, systemd: NotifySocket, part: str, says: str
) -> None:
    """systemd would end it with SIGABRT then; the daemon leaves each thread's place in the journal."""
    sign = tmp_path / "hang"
    command = ("tests.e2e.wedged", part, str(sign))
    with Mosquitto(tmp_path / "broker") as broker:
        config = settings(material, str(material.plain), broker.url)
        with Daemon(tmp_path, config, command, systemd.environment) as daemon:
            systemd.wait_for(lambda message: message.startswith("STATUS=1 of 1 streams live"))
            systemd.wait_for(is_feed)
            sign.touch()
            systemd.wait_for(lambda message: message.startswith(f"STATUS=wedged: {says}"))
            assert [message for message in systemd.listen(1.5) if is_feed(message)] == []
            assert says in daemon.events("wedged")[-1]["text"]
            daemon.signal(signal.SIGABRT)
            assert daemon.wait() == -signal.SIGABRT
            assert ("Fatal Python error: Aborted" in daemon.log, "in hang\n" in daemon.log) == (True, True)


def test_service_that_is_killed_again_and_again_waits_before_it_starts(
    material: Material, tmp_path: Path, systemd: NotifySocket
) -> None:
    """Three kills within a minute; the first two cost no wait."""
    (tmp_path / "run").mkdir()
    environment = {**systemd.environment, "RUNTIME_DIRECTORY": str(tmp_path / "run")}
    config = settings(material, str(material.plain), f"mqtt://127.0.0.1:{free_port()}")
    for number, waits_s in enumerate((None, None, 2.0)):
        with Daemon(tmp_path, config, environment=environment) as daemon:
            systemd.wait_for(lambda message: message == "READY=1")
            paced = [event["wait_s"] for event in daemon.events("restart_paced")]
            assert paced == ([] if waits_s is None else [waits_s]), number
            daemon.signal(signal.SIGKILL)
            daemon.wait()
    with Daemon(tmp_path, config, environment=environment) as daemon:
        daemon.wait_for_event("restart_paced")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0, "told to stop while it waits"
