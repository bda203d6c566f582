"""The socket of `framelane reload`: who finds it, what it answers, and what is left of it."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from framelane.control.reload_socket import (
    ControlSocket,
    ask_to_reload,
    known_folders,
    own_folders,
    socket_name,
)
from framelane.core.errors import FramelaneError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.control.conftest import Rig

WAIT_S = 30.0


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "run").mkdir()
    return {"RUNTIME_DIRECTORY": str(tmp_path / "run")}


@pytest.fixture
def control(rig: Rig, environ: dict[str, str]) -> Iterator[ControlSocket]:
    made = ControlSocket(rig.main, environ, rig.live.reload)
    made.start()
    yield made
    assert made.stop(WAIT_S)


@pytest.mark.usefixtures("control")
def test_asking_tells_what_was_applied(rig: Rig, environ: dict[str, str]) -> None:
    (rig.main.parent / "streams.d/a.yaml").write_text("id: a\nurl: rtsp://h\n")
    answer = ask_to_reload(rig.main, environ)
    assert (answer["exit_code"], answer["added"], answer["removed"]) == (0, ["a"], [])


@pytest.mark.usefixtures("control")
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


@pytest.mark.usefixtures("control")
def test_second_daemon_of_a_file_takes_another_folder(
    rig: Rig, environ: dict[str, str], tmp_path: Path
) -> None:
    second = ControlSocket(rig.main, {**environ, "XDG_RUNTIME_DIR": str(tmp_path)}, rig.live.reload)
    second.start()
    assert (tmp_path / "framelane" / socket_name(rig.main)).exists()
    assert second.stop(WAIT_S)
    assert ask_to_reload(rig.main, environ)["exit_code"] == 0


@pytest.mark.usefixtures("control")
def test_nonsense_on_the_socket_is_no_reload(rig: Rig, environ: dict[str, str]) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(own_folders(environ)[0] / socket_name(rig.main)))
        caller.sendall(b"reboot\n")
        caller.settimeout(WAIT_S)
        assert caller.recv(100) == b""
    assert rig.node.committed == []
    assert ask_to_reload(rig.main, environ)["exit_code"] == 0


@pytest.mark.parametrize("reads", [True, False], ids=["after the request", "before it"])
def test_daemon_that_ends_before_it_answers_is_told_of(
    rig: Rig, environ: dict[str, str], *, reads: bool
) -> None:
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(own_folders(environ)[0] / socket_name(rig.main)))
        daemon.listen()

        def end() -> None:
            caller, _ = daemon.accept()
            with caller:
                caller.recv(100, 0 if reads else socket.MSG_PEEK)

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises(FramelaneError, match="the daemon ended before it answered; see its log"):
            ask_to_reload(rig.main, environ)
        ending.join()


def test_folder_of_another_user_is_passed_over(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /tmp anyone could have made it."""
    monkeypatch.setattr("os.getuid", lambda: 12_345)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / "framelane-12345").mkdir()
    control = ControlSocket(rig.main, {}, rig.live.reload)
    control.start()
    assert not control.alive
    assert list((tmp_path / "framelane-12345").iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ["{tmp}/framelane-7"]),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, ["/run/user/7/framelane", "{tmp}/framelane-7"]),
        (
            {"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/run/user/7"},
            ["/run/a", "/run/b", "/run/user/7/framelane", "{tmp}/framelane-7"],
        ),
    ],
)
def test_folders_are_systemds_then_the_sessions_then_our_own(
    environ: dict[str, str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 7)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folders = own_folders(environ)
    assert [str(folder) for folder in folders] == [each.format(tmp=tmp_path) for each in expected]
    assert known_folders(environ)[: len(folders)] == folders


def test_name_of_the_socket_is_that_of_the_path_as_it_was_given(tmp_path: Path) -> None:
    """Kubernetes changes the links of a volume while the daemon runs."""
    real, link = tmp_path / "a.yaml", tmp_path / "b.yaml"
    real.touch()
    link.symlink_to(real)
    assert socket_name(real) != socket_name(link)
    assert socket_name(real) == socket_name(Path(f"{tmp_path}/./a.yaml"))
