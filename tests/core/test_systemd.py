from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from framelane.core.systemd import extend_start, notify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_notify_sends_to_the_socket_that_systemd_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, abstract: bool
) -> None:
    name = f"@framelane-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1) if abstract else name)
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1")
        extend_start(600)
        assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"EXTEND_TIMEOUT_USEC=600000000"]


@pytest.mark.parametrize("name", [None, "", "/nowhere/notify"])
def test_notify_does_nothing_where_nobody_listens(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if name is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify("READY=1")
