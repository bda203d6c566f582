"""Triggers of a change: the control socket, a signal, and polling the folder."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.waiting import wait_until

from framelane.control.reload_socket import ControlSocket, ask_to_reload, own_folders, socket_name
from framelane.control.reloader import Reloader
from framelane.control.triggers import ConfigTriggers
from framelane.core.errors import FramelaneError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.control.conftest import Rig

WAIT_S = 30.0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "run").mkdir()
    return {"RUNTIME_DIRECTORY": str(tmp_path / "run")}


@pytest.fixture
def triggers(rig: Rig, environ: dict[str, str]) -> Iterator[ConfigTriggers]:
    made = ConfigTriggers(rig.live, rig.folder, environ)
    made.start()
    yield made
    made.stop()


@pytest.mark.usefixtures("triggers")
def test_asking_tells_what_was_applied(rig: Rig, environ: dict[str, str]) -> None:
    (rig.main.parent / "streams.d/a.yaml").write_text("id: a\nurl: rtsp://h\n")
    answer = ask_to_reload(rig.main, environ)
    assert (answer["exit_code"], answer["added"], answer["removed"]) == (0, ["a"], [])


@pytest.mark.usefixtures("triggers")
def test_asking_tells_every_finding_and_no_secret(rig: Rig, environ: dict[str, str]) -> None:
    rig.main.write_text(rig.main.read_text().replace("id: gate}", "id: gate, x: hunter2hunter2}") + "y: 1\n")
    answer = ask_to_reload(rig.main, environ)
    assert answer["exit_code"] == 2
    assert [finding[0] for finding in answer["findings"]] == ["node.x", "y"]
    assert "hunter2" not in str(answer)


def test_asking_fails_when_no_daemon_runs_the_file(rig: Rig, environ: dict[str, str]) -> None:
    with pytest.raises(FramelaneError, match=r"no daemon of this user runs .*framelane\.yaml on this host"):
        ask_to_reload(rig.main, environ)


def test_socket_is_private_and_goes_with_the_daemon(
    rig: Rig, environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "run" / socket_name(rig.main)
    control = ControlSocket(rig.main, environ, rig.live.reload)
    control.start()
    assert path.stat().st_mode & 0o777 == 0o600
    assert control.stop(WAIT_S)
    assert not path.exists()


def test_socket_of_a_daemon_that_was_killed_is_replaced(
    rig: Rig, environ: dict[str, str], tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "run" / socket_name(rig.main)))
    control = ControlSocket(rig.main, environ, rig.live.reload)
    control.start()
    assert ask_to_reload(rig.main, environ)["exit_code"] == 0
    assert control.stop(WAIT_S)


@pytest.mark.usefixtures("triggers")
def test_second_daemon_of_a_file_takes_another_folder(
    rig: Rig, environ: dict[str, str], tmp_path: Path
) -> None:
    second = ControlSocket(rig.main, {**environ, "XDG_RUNTIME_DIR": str(tmp_path)}, rig.live.reload)
    second.start()
    assert (tmp_path / "framelane" / socket_name(rig.main)).exists()
    assert second.stop(WAIT_S)
    assert ask_to_reload(rig.main, environ)["exit_code"] == 0


@pytest.mark.usefixtures("triggers")
def test_nonsense_on_the_socket_is_no_reload(rig: Rig, environ: dict[str, str]) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(own_folders(environ)[0] / socket_name(rig.main)))
        caller.sendall(b"reboot\n")
        caller.settimeout(WAIT_S)
        assert caller.recv(100) == b""
    assert rig.node.committed == []
    assert ask_to_reload(rig.main, environ)["exit_code"] == 0


def test_request_reads_the_files_again_and_a_bad_one_is_survived(rig: Rig, triggers: ConfigTriggers) -> None:
    good = rig.main.read_text()
    rig.main.write_text("nonsense: [")
    triggers.request_reload()
    time.sleep(0.2)
    rig.main.write_text(good.replace("id: lobby", "id: hall"))
    triggers.request_reload()
    wait_until(lambda: rig.ids == ["hall"])


def test_folder_is_read_when_it_has_changed_and_a_bad_file_keeps_all_as_it_was(rig: Rig) -> None:
    folder = rig.main.parent / "streams.d"
    watch = Reloader(rig.live, rig.folder, poll_s=0.02)
    watch.start()
    (folder / "a.yaml").write_text("id: a\nurl: rtsp://h\n")
    wait_until(lambda: rig.ids == ["lobby", "a"])
    (folder / "a.yaml").write_text("id: a\nulr: rtsp://h\n")
    (folder / "b.yaml").write_text("id: b\nurl: rtsp://h\n")
    time.sleep(0.2)
    assert rig.ids == ["lobby", "a"]
    (folder / "a.yaml").unlink()
    wait_until(lambda: rig.ids == ["lobby", "b"])
    assert watch.stop(WAIT_S)


def test_refused_change_is_retried_and_logged_once(rig: Rig) -> None:
    """A secret may appear after the stream that needs it, without a change in the folder."""
    secret = rig.main.parent / "secret"
    watch = Reloader(rig.live, rig.folder, poll_s=0.02, retry_s=0.05)
    rig.live._environ = {"NAME_FILE": str(secret)}
    with capture_logs() as logs:
        watch.start()
        (rig.main.parent / "streams.d/a.yaml").write_text('id: a\nurl: "rtsp://u:${NAME}@h"\n')
        time.sleep(0.5)
        assert rig.ids == ["lobby"]
        secret.write_text("hunter3hunter3")
        wait_until(lambda: rig.ids == ["lobby", "a"])
        assert watch.stop(WAIT_S)
    assert len(rig.node.prepared) == 1
    assert [log["event"] for log in logs] == ["config_refused", "config_applied"]
